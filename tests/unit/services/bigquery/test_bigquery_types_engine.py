"""What of bqemulator has to do with types and is replaced, and parameters in real SQL."""

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from bqemulator.jobs.executor import build_response_schema
from bqemulator.sql.rules import get_all_rules

from tf_dataflow_serving.services.bigquery.embedded import engine_types
from tf_dataflow_serving.services.bigquery.embedded.bignumeric_rules import BignumericRule
from tf_dataflow_serving.services.bigquery.embedded.result_columns import typed_columns
from tf_dataflow_serving.services.bigquery.errors import BigQueryError, InvalidQuery
from tf_dataflow_serving.services.bigquery.sql.query_parameters import bind_parameters
from tf_dataflow_serving.services.bigquery.types import bignumeric_functions


@pytest.mark.parametrize(("owner", "name"), engine_types.REPLACED)
def test_the_names_that_are_replaced_exist(owner: Any, name: str) -> None:
    assert callable(getattr(owner, name)) or isinstance(getattr(owner, name), tuple)


def test_mending_twice_changes_nothing() -> None:
    engine_types.mend_types()
    rules = [type(rule) for rule in get_all_rules()]
    engine_types.mend_types()
    assert [type(rule) for rule in get_all_rules()] == rules
    assert rules.count(BignumericRule) == 1


@pytest.fixture
def database() -> Any:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    # In place of bqemulator's own, which makes way.
    connection.create_function(bignumeric_functions.PARSE, len, ["VARCHAR"], "BIGINT")
    bignumeric_functions.register_functions(connection)
    yield connection
    connection.close()


def run(database: Any, sql: str, parameters: list[dict[str, Any]]) -> Any:
    bound, values = bind_parameters(sql, parameters)
    result = database.execute(bound, values)
    declared = [column[1] for column in result.description]
    return typed_columns(result.to_arrow_table(), declared)


def scalar(kind: str, value: str | None) -> dict[str, Any]:
    return {"name": "x", "parameterType": {"type": kind}, "parameterValue": {"value": value}}


@pytest.mark.parametrize(
    ("kind", "sent", "value", "arrow"),
    [
        ("INT64", "9223372036854775807", 2**63 - 1, pa.int64()),
        ("FLOAT64", "-inf", float("-inf"), pa.float64()),
        ("NUMERIC", "9" * 29 + ".1", Decimal("9" * 29 + ".1"), pa.decimal128(38, 9)),
        ("BIGNUMERIC", "5" * 39 + ".5", Decimal("5" * 39 + ".5"), pa.decimal256(76, 38)),
        ("BOOL", "true", True, pa.bool_()),
        ("BYTES", "AP8=", b"\x00\xff", pa.binary()),
        ("STRING", "a'@x?", "a'@x?", pa.string()),
        ("DATE", "0001-01-01", dt.date(1, 1, 1), pa.date32()),
        ("TIME", "01:02:03.000004", dt.time(1, 2, 3, 4), pa.time64("us")),
        ("DATETIME", "2024-01-01T00:00:00", dt.datetime(2024, 1, 1), pa.timestamp("us")),
        (
            "TIMESTAMP",
            "2024-01-01 00:00:00+01:00",
            dt.datetime(2023, 12, 31, 23, tzinfo=dt.UTC),
            pa.timestamp("us", "UTC"),
        ),
        ("JSON", '{"a":1}', '{"a":1}', pa.string()),
    ],
)
def test_a_parameter_has_its_declared_type(
    database: Any, kind: str, sent: str, value: Any, arrow: pa.DataType
) -> None:
    for each, expected in ((sent, value), (None, None)):
        rows = run(database, "SELECT $x AS x, '$x' AS text", [scalar(kind, each)])
        assert rows.column("x").to_pylist() == [expected]
        assert rows.column("x").type == arrow
        assert rows.column("text").to_pylist() == ["$x"]


def test_arrays_and_structs_are_parameters(database: Any) -> None:
    member = {"name": "b", "type": {"type": "BIGNUMERIC"}}
    record = {"type": "STRUCT", "structTypes": [member]}
    value = {"structValues": {"b": {"value": "1.5"}}}
    kind = {"type": "ARRAY", "arrayType": record}
    parameter = {"parameterType": kind, "parameterValue": {"arrayValues": [value]}}
    rows = run(database, "SELECT ? AS x, ? AS e", [parameter, {"parameterType": kind}])
    assert rows.to_pylist() == [{"x": [{"b": Decimal("1.5")}], "e": []}]


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(BigQueryError):
        bind_parameters("SELECT $x", [scalar("INT64", "one")])


def test_parameters_are_not_looked_for_in_comments(database: Any) -> None:
    sql = "SELECT /* don't ? */ $X AS x -- isn't $x or ?"
    assert run(database, sql, [scalar("INT64", "1")]).to_pylist() == [{"x": 1}]


def test_a_value_without_a_place_is_refused() -> None:
    one = {"parameterType": {"type": "INT64"}, "parameterValue": {"value": "1"}}
    with pytest.raises(InvalidQuery, match="Too many positional"):
        bind_parameters("SELECT ?", [one, one])


def test_stored_bytes_never_leave_as_text(database: Any) -> None:
    number = f"{bignumeric_functions.PARSE}('1')"
    with pytest.raises(InvalidQuery):
        run(database, f"SELECT CAST({number} AS VARCHAR)", [])


def test_nested_json_keeps_its_type(database: Any) -> None:
    rows = run(database, "SELECT {'j': JSON '1', 'js': [JSON '2']} AS s, [JSON '3'] AS js", [])
    record, listed = build_response_schema(rows.schema)
    assert [(field["type"], field["mode"]) for field in record["fields"]] == [
        ("JSON", "NULLABLE"),
        ("JSON", "REPEATED"),
    ]
    assert (listed["type"], listed["mode"]) == ("JSON", "REPEATED")
