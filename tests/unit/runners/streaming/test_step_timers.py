"""When the timers of a step are due, against a plain search through all of them."""

from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.trigger import InMemoryUnmergedState
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.runners.streaming.timers import Deadlines, Timers

NEVER = MIN_TIMESTAMP


def state(*timers: tuple[str, int], window: object = None) -> InMemoryUnmergedState:
    keyed = InMemoryUnmergedState()
    for number, (domain, when) in enumerate(timers):
        keyed.set_timer(window or GlobalWindow(), f"timer{number}", domain, Timestamp(when))
    return keyed


def test_without_timers_nothing_is_due() -> None:
    timers = Timers()
    timers.update(b"key", state())
    assert timers.due(Timestamp(100), Timestamp(100)) == []
    assert timers.next_event_time() is None
    assert timers.next_processing_time() is None


def test_a_timer_is_due_at_its_very_moment() -> None:
    timers = Timers()
    timers.update(b"key", state((TimeDomain.WATERMARK, 10)))
    assert timers.due(Timestamp(9), NEVER) == []
    assert timers.due(Timestamp(10), NEVER) == [b"key"]


def test_the_two_domains_go_by_their_own_time() -> None:
    timers = Timers()
    timers.update(b"event", state((TimeDomain.WATERMARK, 10)))
    timers.update(b"processing", state((TimeDomain.REAL_TIME, 10)))
    assert timers.due(Timestamp(10), Timestamp(0)) == [b"event"]
    assert timers.due(Timestamp(0), Timestamp(10)) == [b"processing"]


def test_a_key_is_due_once_whatever_it_has() -> None:
    timers = Timers()
    timers.update(b"key", state((TimeDomain.WATERMARK, 1), (TimeDomain.REAL_TIME, 1)))
    assert timers.due(Timestamp(5), Timestamp(5)) == [b"key"]


def test_a_key_stays_due_until_its_state_says_otherwise() -> None:
    timers = Timers()
    timers.update(b"key", state((TimeDomain.REAL_TIME, 1)))
    assert timers.due(NEVER, Timestamp(1)) == timers.due(NEVER, Timestamp(1)) == [b"key"]
    timers.update(b"key", state())
    assert timers.due(NEVER, Timestamp(1)) == []


def test_a_timer_that_is_put_off_is_not_due_at_its_old_time() -> None:
    timers = Timers()
    timers.update(b"key", state((TimeDomain.REAL_TIME, 1)))
    timers.update(b"key", state((TimeDomain.REAL_TIME, 9)))
    assert timers.due(NEVER, Timestamp(5)) == []
    assert timers.next_processing_time() == Timestamp(9)


def test_the_earliest_of_a_keys_windows_counts() -> None:
    keyed = state((TimeDomain.WATERMARK, 20))
    keyed.set_timer(IntervalWindow(0, 5), "timer0", TimeDomain.WATERMARK, Timestamp(5))
    timers = Timers()
    timers.update(b"key", keyed)
    assert timers.next_event_time() == Timestamp(5)


UPDATES = st.lists(
    st.tuples(st.integers(0, 3), st.none() | st.integers(0, 20), st.integers(0, 20)), max_size=30
)


@settings(max_examples=200, deadline=None)
@given(UPDATES)
def test_the_same_keys_are_due_as_by_a_plain_search(
    updates: list[tuple[int, int | None, int]],
) -> None:
    timers, model = Timers(), dict[int, int]()
    for key, when, now in updates:
        timers.update(key, state(*([] if when is None else [(TimeDomain.REAL_TIME, when)])))
        model.pop(key, None)
        if when is not None:
            model[key] = when
        assert set(timers.due(NEVER, Timestamp(now))) == {k for k, at in model.items() if at <= now}
        assert timers.next_processing_time() == min(model.values(), default=None)


def test_a_deadline_that_went_back_and_forth_is_due_once() -> None:
    deadlines = Deadlines()
    deadlines.set("key", Timestamp(20))
    deadlines.set("other", Timestamp(15))
    deadlines.set("key", Timestamp(10))
    deadlines.set("key", Timestamp(20))
    assert deadlines.due(Timestamp(30)) == ["other", "key"]
    assert deadlines.due(Timestamp(30)) == ["other", "key"]
