"""Literals and cells: what is written to the other emulator, and what is read from it."""

import base64
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, schema_from_rest
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow
from tf_dataflow_serving.services.bigquery.upstream.cells import (
    TimestampForm,
    decoded,
    record_decoder,
    record_encoder,
    rest_rows,
    rewritten,
)
from tf_dataflow_serving.services.bigquery.upstream.ddl import create_statement
from tf_dataflow_serving.services.bigquery.upstream.literals import insert_statements, literal
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

TABLE = TableRef("project", "dataset", "table")
BIGNUMERIC = "578960446186580977117854925043439539266.34992332820282019728792003956564819967"
RECORDS = Field(
    "r",
    "RECORD",
    Mode.REPEATED,
    (Field("by", "TIMESTAMP"), Field("tags", "STRING", Mode.REPEATED)),
)
SCALARS = {
    "INTEGER": st.integers(-(2**63), 2**63 - 1),
    "FLOAT": st.floats(allow_nan=False),
    "BOOLEAN": st.booleans(),
    "STRING": st.text(),
    "BYTES": st.binary(),
    "NUMERIC": st.decimals(-(10**28), 10**28, places=9),
    "BIGNUMERIC": st.decimals(-(10**28), 10**28, places=9),
    "DATE": st.dates(),
    "TIME": st.times(),
    "DATETIME": st.datetimes(),
    "TIMESTAMP": st.datetimes(timezones=st.just(UTC)),
    "JSON": st.just('{"a": 1}'),
    "GEOGRAPHY": st.just("POINT(1 2)"),
}


def value_of(kind):
    return st.one_of(st.none(), SCALARS[kind])


@pytest.mark.parametrize("timestamps", list(TimestampForm))
@given(data=st.data())
def test_a_value_survives_its_cell(timestamps, data):
    kind = data.draw(st.sampled_from(sorted(SCALARS)))
    schema = (
        Field("single", kind),
        Field("many", kind, Mode.REPEATED),
        Field("record", "RECORD", fields=(Field("inner", kind),)),
    )
    record = {
        "single": data.draw(value_of(kind)),
        "many": data.draw(st.lists(SCALARS[kind], max_size=3)),
        "record": data.draw(st.one_of(st.none(), value_of(kind).map(lambda v: {"inner": v}))),
    }
    cells = record_encoder(schema, timestamps)(record)
    assert record_decoder(schema)(cells) == record


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("INTEGER", -(2**63), "-9223372036854775808"),
        ("FLOAT", 1e22, "1e+22"),
        ("FLOAT", float("-inf"), "IEEE_DIVIDE(-1, 0)"),
        ("BOOLEAN", True, "TRUE"),
        ("STRING", "it's \\ \n\0\x7f 😀", "'it\\'s \\\\ \\n\\u0000\\u007f 😀'"),
        ("BYTES", b"\0\xff", "b'\\x00\\xff'"),
        ("NUMERIC", Decimal("1E+3"), "NUMERIC '1000'"),
        ("BIGNUMERIC", Decimal(BIGNUMERIC), f"BIGNUMERIC '{BIGNUMERIC}'"),
        ("DATE", date(1, 1, 1), "DATE '0001-01-01'"),
        ("TIME", time(23, 59, 59, 999999), "TIME '23:59:59.999999'"),
        ("DATETIME", datetime(1, 1, 1), "DATETIME '0001-01-01 00:00:00'"),
        (
            "TIMESTAMP",
            datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
            "TIMESTAMP '9999-12-31 23:59:59.999999+00'",
        ),
        ("JSON", '{"a":"b\'"}', 'JSON \'{"a":"b\\\'"}\''),
        ("GEOGRAPHY", "POINT(1 2)", "ST_GEOGFROMTEXT('POINT(1 2)')"),
        ("STRING", None, "NULL"),
    ],
)
def test_literals(kind, value, expected):
    assert literal(Field("f", kind))(value) == expected


def test_records_in_arrays_have_their_type_and_others_do_not():
    element = "ARRAY<STRUCT<`by` TIMESTAMP, `tags` ARRAY<STRING>>>"
    render = literal(RECORDS)
    assert render([{"by": None, "tags": ["x"]}]) == f"{element}[STRUCT(NULL,['x'])]"
    assert render([]) == f"{element}[]"
    assert literal(Field("f", "INTEGER", Mode.REPEATED))([1, 2]) == "[1,2]"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("f", "FLOAT"), float("nan")),
        (Field("f", "FLOAT", Mode.REPEATED), [float("inf")]),
        (Field("f", "RECORD", fields=(Field("f", "FLOAT"),)), {"f": float("nan")}),
    ],
)
def test_what_the_emulator_cannot_store_is_refused_by_name(field, value):
    with pytest.raises(Unsupported, match="cannot store") as refused:
        literal(field)(value)
    assert refused.value.location == "f"


def test_long_inserts_are_several_statements():
    schema = (Field("i", "INTEGER"), Field("s", "STRING"))
    rows = rows_to_arrow([{"i": n, "s": "x" * 1000} for n in range(200)], schema)
    statements = list(insert_statements(TABLE, schema, rows))
    assert len(statements) > 1
    assert sum(statement.count("('") + statement.count(",'") for statement in statements) == 200
    head = "INSERT INTO `project`.`dataset`.`table` (`i`, `s`) VALUES (0,'x"
    assert statements[0].startswith(head)


def test_tables_are_made_with_quoted_names_and_required_columns():
    schema = (Field("by", "INTEGER", Mode.REQUIRED), RECORDS)
    assert create_statement(TABLE, schema) == (
        "CREATE TABLE `project`.`dataset`.`table` (`by` INT64 NOT NULL, "
        "`r` ARRAY<STRUCT<`by` TIMESTAMP, `tags` ARRAY<STRING>>>)"
    )


def test_a_table_without_columns_gets_one():
    assert "(`_no_columns` INT64)" in create_statement(TABLE, ())


@pytest.mark.parametrize("name", ["a`b", "a\\"])
def test_names_that_would_end_their_quotes_are_refused(name):
    with pytest.raises(InvalidRequest):
        create_statement(TABLE, (Field(name, "INTEGER"),))


def test_types_that_no_column_of_ours_holds_are_refused():
    with pytest.raises(Unsupported, match="INTERVAL"):
        create_statement(TABLE, (Field("f", "INTERVAL"),))


SCHEMA = [
    {"name": "f", "type": "FLOAT"},
    {"name": "by", "type": "BYTES"},
    {"name": "ts", "type": "TIMESTAMP"},
    {"name": "n", "type": "BIGNUMERIC"},
    {"name": "r", "type": "RECORD", "fields": [{"name": "ts", "type": "TIMESTAMP"}]},
    {"name": "a", "type": "TIMESTAMP", "mode": "REPEATED"},
]
TEXT = "0001-01-01 00:00:00.000001+00"
MICROSECONDS = "-62135596799999999"
SENT = [
    {"v": "+Inf"},
    {"v": "AP8="},
    {"v": MICROSECONDS},
    {"v": BIGNUMERIC},
    {"v": {"f": [{"v": TEXT}]}},
    {"v": [{"v": TEXT}]},
]


def test_answers_are_rewritten_as_bigquery_writes_them():
    response = {"schema": {"fields": SCHEMA}, "rows": [{"f": SENT}], "totalRows": "1"}
    cells = rewritten(response, TimestampForm.MICROSECONDS)["rows"][0]["f"]
    assert [cell["v"] for cell in cells] == [
        "Infinity",
        "AP8=",
        MICROSECONDS,
        BIGNUMERIC,
        {"f": [{"v": MICROSECONDS}]},
        [{"v": MICROSECONDS}],
    ]


def test_timestamps_in_seconds_keep_their_microseconds():
    rows = {"rows": [{"f": SENT}]}
    seconds = rewritten(rows, TimestampForm.SECONDS, schema_from_rest(SCHEMA))
    assert seconds["rows"][0]["f"][2] == {"v": "-62135596799.999999"}
    again = rewritten(seconds, TimestampForm.MICROSECONDS, schema_from_rest(SCHEMA))
    assert again["rows"][0]["f"][2] == {"v": MICROSECONDS}


def test_answers_without_rows_stay():
    assert rewritten({"jobComplete": True}, TimestampForm.SECONDS) == {"jobComplete": True}


def test_rows_of_an_arrow_table_become_cells():
    schema = (Field("by", "BYTES"), Field("n", "BIGNUMERIC"), RECORDS)
    row = {"by": b"\0", "n": Decimal(BIGNUMERIC), "r": [{"by": None, "tags": []}]}
    cells = rest_rows(rows_to_arrow([row], schema), schema, TimestampForm.SECONDS)
    assert cells[0]["f"][0] == {"v": base64.b64encode(b"\0").decode()}
    assert decoded(cells, schema) == [row]
