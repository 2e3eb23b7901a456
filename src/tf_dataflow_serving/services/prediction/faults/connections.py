"""The open connections of the HTTP server, so that they can be broken.

uvicorn makes a protocol for each connection, of a class that its configuration may give, and tells
the application which connection it is by `client` in the scope.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from tf_dataflow_serving.services.prediction.http_protocol import JsonHTTPProtocol

Client = tuple[str, int]
"""The address at the other end of a connection, `client` in the scope of ASGI."""

# On, for 0 seconds: what is unsent is dropped, and the peer gets a RST (socket(7), SO_LINGER).
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class _Connection:
    transport: asyncio.Transport
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class Connections:
    """The connections that are open now."""

    def __init__(self) -> None:
        self._open: dict[Client, _Connection] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the class for uvicorn's `http`, which tells of its connections."""
        connections = self

        class Tracked(JsonHTTPProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                connections._made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                connections._lost(self.transport)
                super().connection_lost(error)

        return Tracked

    async def stay(self, client: Client, seconds: float) -> bool:
        """Wait so long, or until the connection is gone; return whether it is still there."""
        connection = self._open.get(client)
        if connection is None:
            return False
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.gone.wait(), seconds)
        return not connection.gone.is_set()

    async def gone(self, client: Client) -> None:
        """Wait until the connection is gone."""
        if client in self._open:
            await self._open[client].gone.wait()

    def close(self, client: Client) -> None:
        """End a connection, behind what was sent on it."""
        if client in self._open:
            self._open[client].transport.close()

    def reset(self, client: Client) -> None:
        """Break a connection: the peer gets a RST."""
        if client in self._open:
            _reset(self._open[client].transport)

    def reset_all(self) -> None:
        """Break all connections, but for those that end already."""
        for connection in self._open.values():
            if not connection.transport.is_closing():
                _reset(connection.transport)

    def _made(self, transport: asyncio.Transport) -> None:
        self._open[_peer(transport)] = _Connection(transport)

    def _lost(self, transport: asyncio.Transport) -> None:
        connection = self._open.pop(_peer(transport), None)
        if connection is not None:
            connection.gone.set()


def _peer(transport: asyncio.Transport) -> Any:
    """Return the address as uvicorn does; a peer that was gone at once has none."""
    return transport.get_extra_info("peername")


def _reset(transport: asyncio.Transport) -> None:
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
