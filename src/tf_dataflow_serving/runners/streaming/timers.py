"""When the timers of all steps are due, without looking at every key's state."""

import heapq
from collections.abc import Hashable, Iterator
from typing import Any

from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.utils.timestamp import Timestamp


class Deadlines:
    """The earliest deadline of each key; those that were replaced stay until they come up."""

    def __init__(self) -> None:
        self._of: dict[Hashable, Timestamp] = {}
        self._queue: list[tuple[Timestamp, int, Hashable]] = []
        self._pushed = 0

    def set(self, key: Hashable, when: Timestamp | None) -> None:
        """Replace a key's deadline; None: it has none."""
        if when is None:
            self._of.pop(key, None)
        elif self._of.get(key) != when:
            self._of[key] = when
            self._push(key, when)

    def earliest(self) -> Timestamp | None:
        """Return the first deadline of all."""
        while self._queue and not self._is_current(self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def due(self, until: Timestamp) -> list[Hashable]:
        """Return the keys that are due, which stay due until they are set anew."""
        found = {key: when for when, key in self._pop_until(until)}
        for key, when in found.items():
            self._push(key, when)
        return list(found)

    def _pop_until(self, until: Timestamp) -> Iterator[tuple[Timestamp, Hashable]]:
        while (when := self.earliest()) is not None and when <= until:
            _, _, key = heapq.heappop(self._queue)
            yield when, key

    def _push(self, key: Hashable, when: Timestamp) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (when, self._pushed, key))

    def _is_current(self, entry: tuple[Timestamp, int, Hashable]) -> bool:
        when, _, key = entry
        return bool(self._of.get(key) == when)


class Timers:
    """The timers of one step, by their key."""

    def __init__(self) -> None:
        self._event_time = Deadlines()
        self._processing_time = Deadlines()

    def update(self, key: Hashable, state: Any) -> None:
        """Take over the timers of a key's state."""
        self._event_time.set(key, _earliest(state, TimeDomain.WATERMARK))
        self._processing_time.set(key, _earliest(state, TimeDomain.REAL_TIME))

    def due(self, watermark: Timestamp, now: Timestamp) -> list[Hashable]:
        """Return the keys of which a timer is due."""
        return [
            *dict.fromkeys(self._event_time.due(watermark) + self._processing_time.due(now)),
        ]

    def next_event_time(self) -> Timestamp | None:
        """Return the watermark at which the next timer fires, if one is set."""
        return self._event_time.earliest()

    def next_processing_time(self) -> Timestamp | None:
        """Return when the next timer of processing time fires, if one is set."""
        return self._processing_time.earliest()


def _earliest(state: Any, domain: str) -> Timestamp | None:
    return min(
        (
            when
            for timers in state.timers.values()
            for (_, of, _), when in timers.items()
            if of == domain
        ),
        default=None,
    )
