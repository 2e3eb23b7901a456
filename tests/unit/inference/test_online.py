from itertools import cycle, pairwise

from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.online import split


@given(st.lists(st.binary(max_size=20)), st.integers(1, 60))
def test_parts_keep_all_in_order_and_within_the_limit(items, limit):
    parts = list(split(items, limit, lambda: 1000))
    assert [item for part in parts for item in part] == items
    for part in parts:
        assert part
        assert len(part) == 1 or sum(len(item) + 1 for item in part) <= limit


@given(st.lists(st.binary(max_size=20), min_size=1))
def test_what_fits_is_one_part(items):
    assert list(split(items, 10_000, lambda: 1000)) == [items]


@given(st.lists(st.binary(max_size=20), min_size=2), st.integers(1, 60))
def test_no_part_could_have_taken_the_next_item(items, limit):
    parts = list(split(items, limit, lambda: 1000))
    for part, following in pairwise(parts):
        assert sum(len(item) + 1 for item in [*part, following[0]]) > limit


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 10), min_size=1))
def test_each_part_has_as_many_items_as_it_may_at_its_begin(items, numbers):
    asked = cycle(numbers)
    parts = list(split(items, 10_000, lambda: next(asked)))
    assert [item for part in parts for item in part] == items
    for part, most in zip(parts[:-1], cycle(numbers), strict=False):
        assert len(part) == most
