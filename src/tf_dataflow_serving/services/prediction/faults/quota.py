"""A quota of requests per minute, as Google's APIs count them."""

import math
from collections.abc import Callable

WINDOW_SECONDS = 60.0
Clock = Callable[[], float]
"""Seconds that only grow, from any start."""


class RequestQuota:
    """So many requests within a minute that begins with its first request.

    Requests that are refused do not count: the next minute begins in time.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._ends = -math.inf
        self._used = 0

    def take(self) -> bool:
        """Count a request; return whether it is within the quota."""
        now = self._clock()
        if now >= self._ends:
            self._ends = now + WINDOW_SECONDS
            self._used = 0
        if self._used >= self._limit:
            return False
        self._used += 1
        return True

    def seconds_left(self) -> int:
        """Return when the next minute can begin, in whole seconds, at least one."""
        return max(1, math.ceil(self._ends - self._clock()))
