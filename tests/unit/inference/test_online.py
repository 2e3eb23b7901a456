from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.online import split_by_bytes


@given(st.lists(st.binary(max_size=20)), st.integers(1, 60))
def test_parts_keep_all_in_order_and_within_the_limit(items, limit):
    parts = list(split_by_bytes(items, limit))
    assert [item for part in parts for item in part] == items
    for part in parts:
        assert part
        assert len(part) == 1 or sum(len(item) + 1 for item in part) <= limit


@given(st.lists(st.binary(max_size=20), min_size=1))
def test_what_fits_is_one_part(items):
    assert list(split_by_bytes(items, 10_000)) == [items]


@given(st.lists(st.binary(max_size=20), min_size=2), st.integers(1, 60))
def test_no_part_could_have_taken_the_next_item(items, limit):
    parts = list(split_by_bytes(items, limit))
    for part, following in pairwise(parts):
        assert sum(len(item) + 1 for item in [*part, following[0]]) > limit
