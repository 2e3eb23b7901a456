from typing import Any

import pytest

from tf_dataflow_serving.services.bigquery.deduplication import InsertIdWindow
from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.insertion import Inserter, InsertRequest
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

TABLE = TableRef("project", "dataset", "table")
SCHEMA = (Field("id", "INTEGER", Mode.REQUIRED), Field("name", "STRING"))


@pytest.fixture
def inserter(warehouse: Any) -> Inserter:
    warehouse.create(TABLE, SCHEMA, {})
    return Inserter(warehouse, InsertIdWindow(lambda: 0.0))


def insert(inserter: Inserter, rows: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    return inserter.insert(TABLE, InsertRequest.from_rest({"rows": rows, **options}))


def ids(warehouse: Any) -> list[int]:
    return warehouse.rows[TABLE]["id"].to_pylist()  # type: ignore[no-any-return]


def test_rows_are_appended(inserter: Inserter, warehouse: Any) -> None:
    assert insert(inserter, [{"json": {"id": 1, "name": "x"}}, {"json": {"id": "2"}}]) == []
    expected = [{"id": 1, "name": "x"}, {"id": 2, "name": None}]
    assert warehouse.rows[TABLE].to_pylist() == expected


def test_an_insert_id_counts_once_in_a_request_and_across_requests(
    inserter: Inserter, warehouse: Any
) -> None:
    row = {"insertId": "a", "json": {"id": 1}}
    assert insert(inserter, [row, row]) == []
    assert insert(inserter, [row, {"insertId": "b", "json": {"id": 2}}]) == []
    assert ids(warehouse) == [1, 2]


def test_rows_without_an_insert_id_count_each(inserter: Inserter, warehouse: Any) -> None:
    insert(inserter, [{"json": {"id": 1}}, {"insertId": "", "json": {"id": 1}}])
    assert ids(warehouse) == [1, 1]


def test_an_insert_id_of_a_row_that_failed_is_free(inserter: Inserter, warehouse: Any) -> None:
    assert insert(inserter, [{"insertId": "a", "json": {"id": "bad"}}])
    assert insert(inserter, [{"insertId": "a", "json": {"id": 1}}]) == []
    assert ids(warehouse) == [1]


def test_a_bad_row_stops_the_others(inserter: Inserter, warehouse: Any) -> None:
    errors = insert(inserter, [{"json": {"id": 1}}, {"json": {"id": 2, "no": 1}}])
    assert [(error["index"], error["errors"][0]["reason"]) for error in errors] == [
        (0, "stopped"),
        (1, "invalid"),
    ]
    assert errors[1]["errors"][0]["location"] == "no"
    assert ids(warehouse) == []


def test_a_missing_field_is_told_in_bigquerys_words(inserter: Inserter) -> None:
    """As Beam's bigquery_write_it_test, which was recorded on BigQuery, expects it."""
    (error,) = insert(inserter, [{"json": {"name": "a"}}])[0]["errors"]
    assert error["message"] == "Missing required field: Msg_0_CLOUD_QUERY_TABLE.id."
    assert (error["reason"], error["location"]) == ("invalid", "")


def test_bad_rows_are_skipped_on_demand(inserter: Inserter, warehouse: Any) -> None:
    rows = [{"json": {"id": 1}}, {"json": {"name": "no id"}}]
    errors = insert(inserter, rows, skipInvalidRows=True)
    assert [error["index"] for error in errors] == [1]
    assert ids(warehouse) == [1]


def test_requests_must_make_sense(inserter: Inserter) -> None:
    with pytest.raises(InvalidRequest):
        insert(inserter, [])
    with pytest.raises(InvalidRequest):
        insert(inserter, [{"id": 1}])
    with pytest.raises(NotFound):
        missing = TableRef("project", "dataset", "missing")
        inserter.insert(missing, InsertRequest.from_rest({"rows": [{"json": {}}]}))
