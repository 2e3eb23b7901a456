"""Time as the broker sees it."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns nanoseconds since the Unix epoch and never goes back."""

SECOND = 1_000_000_000


def steady_clock() -> Clock:
    """Return a clock that starts at the time of day and ignores later changes of it."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: offset + time.monotonic_ns()
