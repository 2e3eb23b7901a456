"""Serves an ASGI application."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tf_dataflow_serving.services.child import LOOPBACK, STOP_GRACE_SECONDS


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve_http(
    app: ASGIApp,
    port: int = 0,
    host: str = LOOPBACK,
    protocol: type[asyncio.Protocol] = AutoHTTPProtocol,
) -> AsyncIterator[int]:
    """Serve `app` on an IPv4 address; yields the port, a free one if `port` is 0.

    Each connection gets a `protocol`, one of uvicorn's.
    """
    listener = socket.create_server((host, port))
    # asyncio sets it only where the socket names its protocol, which create_server's does not;
    # without it a body waits 40 ms for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        http=protocol,
        # A request to upgrade is served as it is, and nobody stands before the service.
        ws="none",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(STOP_GRACE_SECONDS) // 2,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not (server.started or serving.done()):
            await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        # At once: uvicorn itself looks ten times a second whether it should exit.
        for listening in server.servers if server.started else ():
            listening.close()
        await serving
