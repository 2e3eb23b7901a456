"""Asks again and again for what an API has nothing to wait on for."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Answer = TypeVar("Answer")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_GROWTH = 1.5


@dataclass(frozen=True)
class Polling:
    """Asks at growing intervals, of 5 s in the end; `clock` and `sleep` are in seconds."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def answers(self, ask: Callable[[], Answer], timeout: float) -> Iterator[Answer]:
        """Yield one answer after the other; it ends when the next one would be too late."""
        end = self.clock() + timeout
        pause = _FIRST_PAUSE_SECONDS
        yield ask()
        while self.clock() + pause <= end:
            self.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
            yield ask()
