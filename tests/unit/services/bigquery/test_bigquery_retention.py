import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.retention import compacted, expendable


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


def test_a_compacted_table_is_the_same() -> None:
    fields = [pa.field("n", pa.int64(), metadata={"a": "b"}), pa.field("s", pa.string())]
    table = pa.table({"n": [1, 2, None], "s": ["x", None, "y"]}, schema=pa.schema(fields))
    compact = compacted(table.slice(1))
    assert compact.equals(table.slice(1), check_metadata=True)
    assert compacted(pa.table({})).num_columns == 0
