"""Which deliveries state holds: from Beam's own state objects, as steps leave them."""

from dataclasses import dataclass
from typing import Any

import pytest
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.trigger import (
    InMemoryUnmergedState,
    _ListStateTag,
    _ReadModifyWriteStateTag,
)
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.runners.streaming.holds import NONE, Change, HoldRule, Holds

PLACE = ("step", b"key")
WINDOW = IntervalWindow(0, 60)
BAG = _ListStateTag("user/bag")
LAST = _ReadModifyWriteStateTag("user/last")
ELEMENTS = _ListStateTag("elements")
BUFFERING = HoldRule(buffers=frozenset({"user/bag"}), timers_hold=True)
GROUPING = HoldRule(buffers=frozenset({"elements"}), timers_hold=False)


@dataclass(eq=False)
class Messages:
    count: int = 1

    def __len__(self) -> int:
        return self.count

    def acknowledge(self) -> None:
        raise AssertionError("holds acknowledge nothing")


def held(*deliveries: Messages) -> frozenset[Messages]:
    return frozenset(deliveries)


class Key:
    """One key of a step, whose state goes from bundle to bundle as in a pipeline."""

    def __init__(self, rule: HoldRule = BUFFERING) -> None:
        self.holds = Holds()
        self.state: InMemoryUnmergedState | None = None
        self._rule = rule

    def bundle(self, change: Any, *deliveries: Messages, has_output: bool = True) -> None:
        new = InMemoryUnmergedState() if self.state is None else self.state.copy()
        change(new)
        made = Change(self.state, new, held(*deliveries), has_output)
        self.holds.update(PLACE, self._rule, made)
        self.state = new

    @property
    def held(self) -> frozenset[Any]:
        return self.holds.of(PLACE)


def add(*values: bytes, tag: Any = BAG, window: Any = WINDOW) -> Any:
    def change(state: InMemoryUnmergedState) -> None:
        for value in values:
            state.add_state(window, tag, value)

    return change


def clear(state: InMemoryUnmergedState) -> None:
    state.clear_state(WINDOW, BAG)


def rewrite(value: bytes) -> Any:
    def change(state: InMemoryUnmergedState) -> None:
        clear(state)
        state.add_state(WINDOW, BAG, value)

    return change


def write(value: bytes) -> Any:
    def change(state: InMemoryUnmergedState) -> None:
        state.clear_state(WINDOW, LAST)
        state.add_state(WINDOW, LAST, [value])

    return change


def timer(when: Timestamp | None, domain: str = TimeDomain.REAL_TIME) -> Any:
    def change(state: InMemoryUnmergedState) -> None:
        if when is None:
            state.clear_timer(WINDOW, "user/flush", domain)
        else:
            state.set_timer(WINDOW, "user/flush", domain, when)

    return change


def both(*changes: Any) -> Any:
    def change(state: InMemoryUnmergedState) -> None:
        for one in changes:
            one(state)

    return change


def test_nothing_is_held_at_first() -> None:
    holds = Holds()
    assert holds.of(PLACE) == NONE
    assert holds.oldest() is None
    assert holds.messages == 0


def test_a_bag_holds_all_that_was_put_in() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1"), first)
    key.bundle(add(b"2"), second)
    assert key.held == held(first, second)
    assert key.holds.is_held(first)


def test_a_cleared_bag_holds_nothing() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1"), first)
    key.bundle(clear, second)
    assert key.held == NONE
    assert not key.holds.is_held(first)


def test_a_bag_that_was_flushed_and_refilled_holds_what_is_new() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1", b"2"), first)
    key.bundle(both(clear, add(b"3")), second)
    assert key.held == held(second)


def test_a_bag_that_is_written_anew_without_output_holds_all_it_was_made_of() -> None:
    key, first, second = Key(), Messages(), Messages()
    key.bundle(add(b"a"), first)
    key.bundle(rewrite(b"a+b"), second, has_output=False)
    assert key.held == {first, second}


def test_a_bag_that_a_timer_writes_anew_holds_what_it_held() -> None:
    key, first = Key(), Messages()
    key.bundle(add(b"a"), first)
    key.bundle(rewrite(b"b"))
    assert key.held == {first}


def test_a_bag_that_is_trimmed_holds_all_it_was_made_of() -> None:
    """The first goes, the second stays and is put back: nobody can tell whose it is."""
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1", b"2"), first)
    key.bundle(both(clear, add(b"2", b"3")), second)
    assert key.held == held(first, second)


def test_what_is_equal_is_not_taken_for_what_is_new() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1"), first)
    key.bundle(both(clear, add(b"1")), second)
    assert first in key.held


def test_a_bundle_that_only_looks_holds_nothing_more() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1"), first)
    key.bundle(lambda state: state.get_state(WINDOW, BAG), second)
    assert key.held == held(first)


def test_a_value_alone_holds_nothing() -> None:
    """Such as the time at which a key was last seen, which is never taken out again."""
    key = Key()
    key.bundle(write(b"1"), Messages())
    assert key.held == NONE


def test_a_value_with_a_timer_is_held_until_the_timer_is_gone() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(both(write(b"1"), timer(Timestamp(30))), first)
    key.bundle(write(b"2"), second)
    assert key.held == held(first, second)
    key.bundle(timer(None))
    assert key.held == NONE


def test_a_timer_without_state_holds_nothing() -> None:
    key = Key()
    key.bundle(timer(Timestamp(30)), Messages())
    assert key.held == NONE


def test_a_timer_at_the_end_of_time_does_not_hold_a_value() -> None:
    """It is set to clean up, and fires when the pipeline is drained at the earliest."""
    key = Key()
    end = GlobalWindow().max_timestamp()
    key.bundle(both(write(b"1"), timer(end, TimeDomain.WATERMARK)), Messages())
    assert key.held == NONE


def test_a_timer_at_the_end_of_time_leaves_a_bag_held() -> None:
    first, key = Messages(), Key()
    end = GlobalWindow().max_timestamp()
    key.bundle(both(add(b"1"), timer(end, TimeDomain.WATERMARK)), first)
    assert key.held == held(first)


def test_a_grouping_holds_its_elements_and_nothing_else() -> None:
    first, key = Messages(), Key(GROUPING)
    key.bundle(add(b"a", tag=ELEMENTS), first)
    assert key.held == held(first)
    key.bundle(lambda state: state.clear_state(WINDOW, ELEMENTS), Messages())
    assert key.held == NONE
    key.bundle(both(add(b"x", tag=_ListStateTag("index")), timer(Timestamp(60))), Messages())
    assert key.held == NONE


def test_an_accumulating_grouping_holds_what_it_has_already_given() -> None:
    """Its next pane has the old elements again; they are only there while they are held."""
    first, second, key = Messages(), Messages(), Key(GROUPING)
    key.bundle(add(("value", 1), tag=ELEMENTS), first)
    key.bundle(add(("value", 2), tag=ELEMENTS), second)
    assert key.held == held(first, second)


def test_windows_hold_apart() -> None:
    first, second, key = Messages(), Messages(), Key()
    key.bundle(add(b"1"), first)
    key.bundle(add(b"2", window=IntervalWindow(60, 120)), second)
    key.bundle(clear)
    assert key.held == held(second)


def test_what_two_places_hold_is_held_until_both_let_go() -> None:
    delivery, holds = Messages(), Holds()
    holds.hold("a", None, held(delivery))
    holds.hold("b", None, held(delivery))
    holds.hold("a", None, NONE)
    assert holds.is_held(delivery)
    holds.hold("b", None, NONE)
    assert not holds.is_held(delivery)


def test_the_number_of_messages_counts_each_once() -> None:
    many, one, holds = Messages(7), Messages(), Holds()
    holds.hold("a", None, held(many, one))
    holds.hold("b", None, held(many))
    assert holds.messages == 8


def test_the_oldest_is_what_came_first() -> None:
    first, second, holds = Messages(), Messages(), Holds()
    holds.hold("a", None, held(first))
    holds.hold("b", None, held(second))
    assert holds.oldest() is first
    holds.hold("a", None, NONE)
    assert holds.oldest() is second


def test_what_is_forgotten_is_held_nowhere() -> None:
    first, second, holds = Messages(), Messages(), Holds()
    holds.hold("a", WINDOW, held(first, second))
    holds.hold("b", WINDOW, held(first))
    holds.forget(first)
    assert holds.of("a") == held(second)
    assert holds.of("b") == NONE
    assert not holds.is_held(first)


CHANGES = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.integers(0, 9).map(lambda number: bytes([number])), max_size=4),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(CHANGES)
def test_whatever_is_in_a_bag_is_held(changes: list[tuple[bool, list[bytes]]]) -> None:
    """Redelivering what is held brings every value back, if of another message with the same."""
    key = Key()
    brought: dict[Messages, list[bytes]] = {}
    bag: list[bytes] = []
    for is_cleared, values in changes:
        delivery = Messages()
        brought[delivery] = values
        key.bundle(both(clear if is_cleared else add(), add(*values)), delivery)
        bag = values if is_cleared else bag + values
        assert set(bag) <= {value for one in key.held for value in brought[one]}
        assert bool(bag) == bool(key.held)


@pytest.mark.parametrize("values", [(b"1",), (b"1", b"2", b"3")])
def test_a_queue_that_never_runs_empty_is_let_go_of_once_it_does(values: tuple[bytes, ...]) -> None:
    key = Key()
    for value in values:
        key.bundle(both(clear, add(b"kept", value)), Messages())
    key.bundle(clear)
    assert key.held == NONE
