"""The watermark of a Pub/Sub read, estimated from what arrives.

The way of Beam's own PubsubUnboundedSource (Java SDK, `getWatermark`): the least timestamp among
what is waiting and what was read lately; the present once nothing has come for a while. Only the
periods are shorter, for a person waits here.
"""

from collections import deque
from collections.abc import Callable, Iterable

MICROS = 1_000_000
SAMPLE_SECONDS = 2.0
# How long a message may be under way while nothing seems to come.
TRANSIT_SECONDS = 1.0


class ReadWatermark:
    """Microseconds since the epoch before which no more elements are expected."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: deque[tuple[float, int]] = deque()
        self._last_arrival = clock()
        self._latched: int | None = None

    def record(self, timestamps: Iterable[int]) -> None:
        """Note the timestamps of elements that were read now."""
        self._last_arrival = self._clock()
        least = min(timestamps, default=None)
        if least is not None:
            self._recent.append((self._last_arrival, least))

    def current(self, outstanding: int | None) -> int | None:
        """Return the watermark; None: nothing can be said yet.

        `outstanding` is the least timestamp of what is received and not processed.
        """
        now = self._clock()
        while self._recent and self._recent[0][0] < now - SAMPLE_SECONDS:
            self._recent.popleft()
        known = [least for _, least in self._recent]
        if outstanding is not None:
            known.append(outstanding)
        if known:
            self._advance(min(known))
        elif now >= self._idle_from():
            self._advance(int((now - TRANSIT_SECONDS) * MICROS))
        return self._latched

    def passes(self, timestamp: int) -> float:
        """Return the moment at which the watermark gets there if nothing arrives."""
        return max(self._idle_from(), timestamp / MICROS + TRANSIT_SECONDS)

    def _idle_from(self) -> float:
        return self._last_arrival + SAMPLE_SECONDS

    def _advance(self, to: int) -> None:
        self._latched = to if self._latched is None else max(self._latched, to)
