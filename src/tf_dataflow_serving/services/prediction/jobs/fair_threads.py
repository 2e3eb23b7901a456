"""Threads that several owners of work share."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tf_dataflow_serving.services.prediction.errors import JobStopped

T = TypeVar("T")


class FairThreads:
    """Lets owners have a thread in turn, so that none waits for all the work of another.

    For the event loop alone; `threads` has at least `count` threads.
    """

    def __init__(self, threads: ThreadPoolExecutor, count: int) -> None:
        self._threads = threads
        self._free = count
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, owner: str, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in a thread; raises JobStopped if the owner withdraws before."""
        await self._turn(owner)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._pass_on()

    def withdraw(self, owner: str) -> None:
        """Give up all turns that an owner is waiting for."""
        for turn in self._waiting.pop(owner, ()):
            turn.set_exception(JobStopped())

    async def _turn(self, owner: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        await turn

    def _pass_on(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        owner, turns = next(iter(self._waiting.items()))
        del self._waiting[owner]
        turns.popleft().set_result(None)
        if turns:
            # Behind all others, who have waited longer.
            self._waiting[owner] = turns
