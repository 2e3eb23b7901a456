"""Which bytes a Range header asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage.errors import RangeNotSatisfiable
from tf_dataflow_serving.services.storage.protocol.downloads import requested_span

sizes = st.integers(0, 50)
positions = st.integers(0, 60)


def requested(header: str, size: int) -> list[int] | None:
    span = requested_span(header, size)
    return None if span is None else list(range(span.first, span.end))


@given(positions, positions, sizes)
def test_from_first_to_last(first: int, last: int, size: int) -> None:
    wanted = [position for position in range(first, last + 1) if position < size]
    if last < first:
        assert requested(f"bytes={first}-{last}", size) is None
    elif wanted:
        assert requested(f"bytes={first}-{last}", size) == wanted
    else:
        with pytest.raises(RangeNotSatisfiable):
            requested(f"bytes={first}-{last}", size)


@given(positions, sizes)
def test_from_first_to_the_end(first: int, size: int) -> None:
    if first < size:
        assert requested(f"bytes={first}-", size) == list(range(first, size))
    else:
        with pytest.raises(RangeNotSatisfiable):
            requested(f"bytes={first}-", size)


@given(positions, sizes)
def test_the_last_ones(count: int, size: int) -> None:
    if count and size:
        assert requested(f"bytes=-{count}", size) == list(range(size))[-count:]
    else:
        with pytest.raises(RangeNotSatisfiable):
            requested(f"bytes=-{count}", size)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=" + "9" * 99]
)
def test_what_makes_no_sense_asks_for_everything(header: str | None) -> None:
    assert requested_span(header, 10) is None


@given(st.text(), sizes)
def test_no_header_is_a_fault_of_the_service(text: str, size: int) -> None:
    try:
        span = requested_span(f"bytes={text}", size)
    except RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.first < span.end <= size
