"""Time as the broker sees it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

Clock = Callable[[], int]
"""Returns nanoseconds since the Unix epoch and never goes back."""

SECOND = 1_000_000_000

LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""As far as a clock can be moved: 64 bits of nanoseconds end in 2262, deadlines come after."""


def steady_clock(not_before: int = 0) -> Clock:
    """Return a clock that starts at the time of day and ignores later changes of it.

    It starts at `not_before` if that is later: time must not go back from one process to the
    next over the same data.
    """
    offset = max(time.time_ns(), not_before) - time.monotonic_ns()
    return lambda: offset + time.monotonic_ns()


class MovableClock:
    """A clock that goes on by itself, and that tests move forward; `on_move` is told of it."""

    def __init__(self, clock: Clock, on_move: Callable[[], None]) -> None:
        self._clock = clock
        self._on_move = on_move
        self._offset = 0

    def __call__(self) -> int:
        """Return the time; see Clock."""
        return self._clock() + self._offset

    def advance(self, nanoseconds: int) -> None:
        """Move forward; raises InvalidArgument for a move back, or past LATEST."""
        if nanoseconds < 0:
            raise InvalidArgument("The clock can be moved forward only.")
        if self() + nanoseconds > LATEST:
            raise InvalidArgument("The clock cannot be moved past the year 2200.")
        self._offset += nanoseconds
        self._on_move()
