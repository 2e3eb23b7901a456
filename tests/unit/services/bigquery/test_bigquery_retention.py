from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.retention import expendable


@given(st.lists(st.integers(0, 100)), st.integers(0, 500))
def test_the_oldest_go_until_the_rest_fits(sizes: list[int], budget: int) -> None:
    gone = expendable(list(enumerate(sizes)), budget)
    assert gone == list(range(len(gone)))
    rest = sizes[len(gone) :]
    assert sum(rest) <= budget or len(rest) <= 1
    if gone:
        assert sum(sizes[len(gone) - 1 :]) > budget


def test_the_newest_stays_however_large() -> None:
    assert expendable([("old", 1), ("new", 100)], 10) == ["old"]
