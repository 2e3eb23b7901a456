import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.paging import page_behind, page_of


@given(items=st.lists(st.integers(), max_size=30), size=st.integers(1, 10))
def test_pages_together_are_the_list(items: list[int], size: int) -> None:
    seen: list[int] = []
    token = None
    while True:
        page = page_of(items, size, token)
        assert len(page.items) <= size
        seen += page.items
        token = page.next_token
        if token is None:
            break
    assert seen == items


def test_a_page_of_nothing_has_no_successor() -> None:
    page = page_of([1, 2], 0, None)
    assert (list(page.items), page.next_token) == ([], None)


@pytest.mark.parametrize("token", ["-1", "x", "1.5", "²"])
def test_a_token_that_none_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        page_of([1, 2, 3], 1, token)


@given(
    items=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=30).map(
        list
    )
)
def test_pages_skip_nothing_while_items_go(items: list[str]) -> None:
    left, seen = list(items), list[str]()
    token = None
    while True:
        page = page_behind(left, 4, token, str)
        seen += page.items
        left = [item for item in left if item not in page.items]
        token = page.next_token
        if token is None:
            break
    assert seen == sorted(items)


@pytest.mark.parametrize("token", ["x", "\u00b2", "_w=="])
def test_a_token_that_is_no_place_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        page_behind(["a"], 1, token, str)
