"""Which deliveries are still in the state of some step, and so cannot be acknowledged."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from apache_beam.transforms.window import GlobalWindow

_END_OF_TIME = GlobalWindow().max_timestamp()


class Delivery(Protocol):
    """Messages that are settled together."""

    def __len__(self) -> int:
        """The number of messages."""
        ...

    def acknowledge(self) -> None:
        """Tell the subscription that all that was made of them is written."""
        ...


Deliveries = frozenset[Delivery]
NONE: Deliveries = frozenset()


@dataclass(frozen=True)
class HoldRule:
    """What in a step's state means that elements wait there.

    `buffers` are the tags of state that collects elements. Where `timers_hold`, a window with a
    timer before the end of time and any state holds too.
    """

    buffers: frozenset[str]
    timers_hold: bool


@dataclass(frozen=True)
class Change:
    """A key's state before and after a bundle, what that was given, and whether it gave any."""

    old: Any
    new: Any
    deliveries: Deliveries
    has_output: bool


class Holds:
    """Remembers, for every step, key and window, what its state was made of."""

    def __init__(self) -> None:
        self._cells: dict[Hashable, dict[Hashable, Deliveries]] = {}
        self._counts: dict[Delivery, int] = {}
        self._messages = 0

    def of(self, place: Hashable) -> Deliveries:
        """Return what is held at a place, in any window."""
        return NONE.union(*self._cells.get(place, {}).values())

    def is_held(self, delivery: Delivery) -> bool:
        """Whether it is held anywhere."""
        return delivery in self._counts

    @property
    def messages(self) -> int:
        """The number of messages that are held."""
        return self._messages

    def oldest(self) -> Delivery | None:
        """Return what has been held longest."""
        return next(iter(self._counts), None)

    def hold(self, place: Hashable, window: Hashable, deliveries: Deliveries) -> None:
        """Hold these, and nothing else, in one window of a place; none: let go of it."""
        windows = self._cells.setdefault(place, {})
        before = windows.pop(window, NONE)
        if deliveries:
            windows[window] = deliveries
        if not windows:
            del self._cells[place]
        self._count(deliveries - before, 1)
        self._count(before - deliveries, -1)

    def forget(self, delivery: Delivery) -> None:
        """Let go of one delivery wherever it is held."""
        for place, windows in list(self._cells.items()):
            for window, held in list(windows.items()):
                if delivery in held:
                    self.hold(place, window, held - {delivery})

    def update(self, place: Hashable, rule: HoldRule, change: Change) -> None:
        """Follow what a bundle did to one key's state."""
        for window in _windows(change.old) | _windows(change.new):
            held = self._cells.get(place, {}).get(window, NONE)
            after = _after(rule, held, change, window)
            if after is not held:
                self.hold(place, window, after)

    def _count(self, deliveries: Iterable[Delivery], change: int) -> None:
        for delivery in deliveries:
            before = self._counts.get(delivery, 0)
            if not before:
                self._messages += len(delivery)
            if before + change:
                self._counts[delivery] = before + change
            else:
                del self._counts[delivery]
                self._messages -= len(delivery)


@dataclass(frozen=True)
class _Content:
    """What a key has in one window."""

    values: Mapping[str, Any]
    timers: Mapping[Hashable, Any]

    def buffered(self, rule: HoldRule) -> list[Any]:
        found = []
        for tag, value in self.values.items():
            if tag in rule.buffers:
                found += value if isinstance(value, list) else [value]
        return found

    def holds(self, rule: HoldRule) -> bool:
        if self.buffered(rule):
            return True
        waits = rule.timers_hold and any(self.values.values())
        return waits and any(when < _END_OF_TIME for when in self.timers.values())


def _content(state: Any, window: Hashable) -> _Content:
    if state is None:
        return _Content({}, {})
    return _Content(state.state.get(window, {}), state.timers.get(window, {}))


def _windows(state: Any) -> set[Hashable]:
    return set() if state is None else {*state.state, *state.timers}


def _after(rule: HoldRule, held: Deliveries, change: Change, window: Hashable) -> Deliveries:
    old, new = _content(change.old, window), _content(change.new, window)
    if not new.holds(rule):
        return NONE
    if old == new:
        return held
    # What went without any output may still be there in another form.
    can_be_new = change.has_output and change.deliveries
    if can_be_new and _is_replaced(old.buffered(rule), new.buffered(rule)):
        return change.deliveries
    return held | change.deliveries


def _is_replaced(old: list[Any], new: list[Any]) -> bool:
    """Whether nothing of what was buffered is there any more."""
    if not old or not new or old[0] is new[0]:
        return False
    return {_identity(value) for value in old}.isdisjoint(_identity(value) for value in new)


def _identity(value: Any) -> Hashable:
    """A user's state is encoded, and encoded anew when it is put back; Beam's own is not."""
    return value if isinstance(value, bytes) else id(value)
