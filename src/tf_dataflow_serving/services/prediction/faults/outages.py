"""Takes the server off its port for a while: what clients see when a service is restarted."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from tf_dataflow_serving.services.prediction.faults.connections import Connections

_RETRY_SECONDS = 0.1
_log = logging.getLogger(__name__)

Server = Callable[[int], AbstractAsyncContextManager[int]]
"""Listens on a port, 0 being any free one, and yields the port; stops listening on leaving."""


class Outages:
    """One outage after the other, each for the time that it was ordered for."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._ordered: asyncio.Queue[float] = asyncio.Queue()

    def begin(self, seconds: float) -> None:
        """Close the port and break all connections now; be back after so many seconds."""
        self._ordered.put_nowait(seconds)

    @asynccontextmanager
    async def interrupting(self, server: Server, port: int) -> AsyncIterator[int]:
        """Serve until left, but for the outages; yields the port, which stays the same."""
        async with AsyncExitStack() as listening:
            bound = await listening.enter_async_context(server(port))
            interrupting = asyncio.create_task(self._interrupt(listening, server, bound))
            try:
                yield bound
            finally:
                interrupting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await interrupting

    async def _interrupt(self, listening: AsyncExitStack, server: Server, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            back = await self._ordered.get() + loop.time()
            self._connections.reset_all()
            await listening.aclose()
            await asyncio.sleep(back - loop.time())
            await self._come_back(listening, server, port)

    async def _come_back(self, listening: AsyncExitStack, server: Server, port: int) -> None:
        while True:
            try:
                await listening.enter_async_context(server(port))
                return
            except OSError as error:
                # The port was free for anybody: whoever has it now may not have it for long.
                _log.warning("port %d cannot be used again yet: %s", port, error)
                await asyncio.sleep(_RETRY_SECONDS)
