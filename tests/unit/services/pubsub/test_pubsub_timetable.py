"""What is due when."""

from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.pubsub.timetable import Timetable

ITEMS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), ITEMS, st.integers(0, 300)),
        st.tuples(st.just("discard"), ITEMS),
        st.tuples(st.just("pop"), st.integers(0, 300), st.integers(1, 4)),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([1, 10, 64]))
def test_items_are_due_in_their_time_whatever_happened_before(steps, resolution):
    table: Timetable[int] = Timetable(resolution, lambda: None)
    expected: dict[int, int] = {}
    for step in steps:
        match step:
            case ("set", item, at):
                table.set(item, at)
                expected[item] = -(-at // resolution) * resolution
            case ("discard", item):
                table.discard(item)
                expected.pop(item, None)
            case ("pop", now, limit):
                popped = [(expected.pop(item), item) for item in list(table.pop_due(now, limit))]
                assert popped == sorted(popped, key=lambda due: due[0])
                assert all(at <= now for at, _ in popped)
                overdue = [at for at in expected.values() if at <= now]
                assert len(popped) == limit or not overdue
                assert not popped or all(at >= popped[-1][0] for at in overdue)
        assert table.next_due() == min(expected.values(), default=None)
        assert len(table) == len(expected)


@given(st.lists(st.integers(0, 300)))
def test_it_tells_of_everything_that_is_due_before_the_rest(times):
    told: list[int] = []
    table: Timetable[int] = Timetable(1, lambda: told.append(1))
    for item, at in enumerate(times):
        earlier = table.next_due() is None or at < table.next_due()
        before = len(told)
        table.set(item, at)
        assert (len(told) > before) == earlier


def test_an_item_set_and_discarded_many_times_leaves_one_slot_behind():
    table: Timetable[str] = Timetable(10, lambda: None)
    table.set("first", 5)
    for _ in range(1000):
        table.set("second", 95)
        table.discard("second")
    table.discard("first")
    assert (table.next_due(), len(table)) == (None, 0)
    assert list(table.pop_due(10**6, 10)) == []
