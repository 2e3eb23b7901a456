"""How much one process asks of an endpoint at a time, by what the endpoint bears.

Additive increase and multiplicative decrease: Chiu and Jain, "Analysis of the Increase and
Decrease Algorithms for Congestion Avoidance in Computer Networks" (1989). Clients of services do
it to the number of their requests: Netflix, concurrency-limits, AIMDLimit; what they owe to a
service that is overloaded: Site Reliability Engineering (Google), chapter 21, "Handling Overload".
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tf_dataflow_serving.inference.failures import Throttled, Transient

_DECREASE = 0.5
# A service for two at a time is asked by three once in fifteen answers, not in three.
_ROUNDS_FOR_ONE_MORE = 5
_ANSWERS_FROM_NOTHING_TO_MOST = 20


class _Entrance(NamedTuple):
    waited: float
    decreases: int


class NoTurn(Transient):
    """The gate does not open in time."""


class Gate:
    """Lets a number of requests through at a time, and none while the service asks for quiet.

    The number begins at `most`. A request that is throttled leaves half of those that were under
    way; the others of them that are throttled too change nothing more (RFC 5681, 3.1: the flight
    size counts, once for each loss). A few rounds of as many answers as may be under way let one
    more through. Threads share it, and pass in the order in which they came; `clock` and `wait`
    are in seconds.
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        self._most = most
        self._clock = clock
        self._wait = wait
        self._limit = float(most)
        self._under_way = 0
        self._queue: deque[object] = deque()
        self._decreases = 0
        self._quiet_until = clock()
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many requests may be under way."""
        return int(self._limit)

    @contextmanager
    def turn(self, until: float) -> Iterator[float]:
        """Wait for a turn and yield how long that took; the request is made within.

        Raises NoTurn if none comes until then, by the clock; at once if the quiet lasts longer.
        """
        entrance = self._enter(until)
        try:
            yield entrance.waited
        except Throttled as refusal:
            self._throttled(entrance.decreases, refusal.retry_after)
            raise
        else:
            self._answered()
        finally:
            self._leave()

    def _enter(self, until: float) -> _Entrance:
        with self._changed, self._place() as place:
            begin = now = self._clock()
            while not self._is_open(now) or self._queue[0] is not place:
                self._await_change(now, until)
                now = self._clock()
            self._under_way += 1
            return _Entrance(now - begin, self._decreases)

    @contextmanager
    def _place(self) -> Iterator[object]:
        """Hold a place in the queue; whoever is behind it is told when it is given up."""
        place = object()
        self._queue.append(place)
        try:
            yield place
        finally:
            self._queue.remove(place)
            self._changed.notify_all()

    def _is_open(self, now: float) -> bool:
        return self._under_way < self.limit and now >= self._quiet_until

    def _await_change(self, now: float, until: float) -> None:
        quiet = self._quiet_until - now
        if self._quiet_until > until:
            raise NoTurn(f"the service asks for no request for {quiet:.3g} s", quiet)
        if now >= until:
            raise NoTurn(f"no turn among {self.limit} requests at a time")
        pause = quiet if quiet > 0 else until - now
        self._wait(self._changed, min(pause, threading.TIMEOUT_MAX))

    def _throttled(self, decreases: int, retry_after: float) -> None:
        with self._changed:
            self._quiet_until = max(self._quiet_until, self._clock() + retry_after)
            if decreases == self._decreases:
                self._decreases += 1
                self._limit = max(1.0, min(self._limit, self._under_way) * _DECREASE)

    def _answered(self) -> None:
        with self._changed:
            self._limit = min(self._most, self._limit + 1 / (_ROUNDS_FOR_ONE_MORE * self._limit))

    def _leave(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()


class RequestSize:
    """How many instances a request has: `most`, or fewer after one that was too large or too slow.

    Such a request leaves half of its size; each answer to a request of the size that there is
    adds a part of `most` again. Threads share it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._step = max(1.0, most / _ANSWERS_FROM_NOTHING_TO_MOST)
        self._limit = float(most)
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """The most instances that a request should have now."""
        return int(self._limit)

    def answered(self, count: int) -> None:
        """Take note that a request with so many instances was answered."""
        with self._lock:
            if count >= self.limit:
                self._limit = min(self._most, self._limit + self._step)

    def too_much(self, count: int) -> None:
        """Take note that a request with so many instances was too large, or too slow."""
        with self._lock:
            self._limit = max(1.0, min(self._limit, count * _DECREASE))


class WholeSeconds:
    """Adds up seconds for a counter of whole ones: a fraction is kept until it makes one."""

    def __init__(self) -> None:
        self._fraction = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> int:
        """Return the whole seconds that have come together."""
        with self._lock:
            whole, self._fraction = divmod(self._fraction + seconds, 1)
            return int(whole)
