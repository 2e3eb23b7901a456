"""Remembers the insertIds of streamed rows, so that a repeated insert adds no second row.

BigQuery promises this, as best effort, for at least one minute
(https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#dataconsistency).
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable

WINDOW_SECONDS = 60.0


class InsertIdWindow:
    """The (table, insertId) pairs of the last `WINDOW_SECONDS`; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: set[Hashable] = set()
        self._by_age: deque[tuple[float, Hashable]] = deque()

    def __contains__(self, key: Hashable) -> bool:
        self._forget()
        return key in self._known

    def remember(self, keys: Iterable[Hashable]) -> None:
        """Note that the rows with these keys were inserted now."""
        self._forget()
        now = self._clock()
        for key in keys:
            if key not in self._known:
                self._known.add(key)
                self._by_age.append((now, key))

    def __len__(self) -> int:
        self._forget()
        return len(self._known)

    def _forget(self) -> None:
        horizon = self._clock() - WINDOW_SECONDS
        while self._by_age and self._by_age[0][0] < horizon:
            self._known.discard(self._by_age.popleft()[1])
