"""What is due when: leases now, any other delayed work of the broker alike."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

Wake = Callable[[], None]
"""Tells a waiting party, at once and without blocking, that it should look again."""


class Timetable(Generic[Item]):
    """Holds hashable items until they are due.

    Times are rounded up to slots, so that an item is never early and at most one
    `resolution` late. Every operation on one item takes constant time, and an item that was
    moved or discarded leaves no more than its slot behind: leases are extended far more often
    than they expire. `on_earlier` is called when something became due before all else.
    """

    def __init__(self, resolution: int, on_earlier: Wake) -> None:
        self._resolution = resolution
        self._on_earlier = on_earlier
        self._slots: dict[int, OrderedDict[Item, None]] = {}
        self._slot_of: dict[Item, int] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def set(self, item: Item, at: int) -> None:
        """Make `item` due at `at`, instead of when it was due before."""
        slot = -(-at // self._resolution)
        if self._slot_of.get(item) == slot:
            return
        self.discard(item)
        self._slot_of[item] = slot
        self._slot(slot)[item] = None

    def discard(self, item: Item) -> None:
        """Forget `item`, if it is there."""
        slot = self._slot_of.pop(item, None)
        if slot is not None:
            del self._slots[slot][item]

    def next_due(self) -> int | None:
        """Return the time at which something is due, or None."""
        while self._order and not self._slots[self._order[0]]:
            del self._slots[heapq.heappop(self._order)]
        return self._order[0] * self._resolution if self._order else None

    def pop_due(self, now: int, limit: int) -> Iterator[Item]:
        """Remove and yield at most `limit` of the items that are due, earliest first.

        Each is removed when its turn comes, so that one may discard or move those after it.
        """
        for _ in range(limit):
            earliest = self.next_due()
            if earliest is None or earliest > now:
                return
            slot = self._order[0]
            item = next(iter(self._slots[slot]))
            del self._slot_of[item]
            del self._slots[slot][item]
            yield item

    def _slot(self, number: int) -> OrderedDict[Item, None]:
        earliest = self.next_due()
        if earliest is None or number * self._resolution < earliest:
            self._on_earlier()
        if number not in self._slots:
            self._slots[number] = OrderedDict()
            heapq.heappush(self._order, number)
        return self._slots[number]
