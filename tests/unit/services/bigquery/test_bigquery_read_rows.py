"""Rows of the Storage Read API are what Arrow's and Avro's own readers expect."""

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidData
from tf_dataflow_serving.services.bigquery.files.avro_rows import encode_rows
from tf_dataflow_serving.services.bigquery.reads.row_encoding import (
    MOST_BYTES,
    Compression,
    RowEncoder,
    arrow_encoder,
    avro_encoder,
)
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema, arrow_schema

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.integers(-(2**63), 2**63 - 1),
    "FLOAT": st.floats(allow_nan=False),
    "BOOLEAN": st.booleans(),
    "STRING": st.text(),
    "BYTES": st.binary(),
    "NUMERIC": st.decimals(-(10**29) + 1, 10**29 - 1, places=9),
    # 76 digits; pyarrow takes no more from Python.
    "BIGNUMERIC": st.integers(-(10**76) + 1, 10**76 - 1).map(
        lambda digits: Decimal(digits).scaleb(-38, Context(prec=77))
    ),
    "DATE": st.dates(),
    "TIME": st.times(),
    "DATETIME": st.datetimes(),
    "TIMESTAMP": st.datetimes(timezones=st.just(UTC)),
    "JSON": st.sampled_from(["{}", "null", '{"a":[1,"é"]}']),
    "GEOGRAPHY": st.just("POINT(1 2)"),
}
# fastavro gives DATETIME, whose logical type is BigQuery's own, as the text that it is.
AS_SENT = {"DATETIME": datetime.isoformat}

MODES = st.sampled_from(list(Mode))


def scalars(name: str) -> st.SearchStrategy[Field]:
    return st.builds(Field, st.just(name), st.sampled_from(sorted(VALUES)), MODES)


def records(name: str, depth: int) -> st.SearchStrategy[Field]:
    children = st.tuples(fields("x", depth - 1), fields("y", depth - 1))
    return st.builds(Field, st.just(name), st.just("RECORD"), MODES, children)


def fields(name: str, depth: int = 2) -> st.SearchStrategy[Field]:
    return scalars(name) | records(name, depth) if depth else scalars(name)


def values(field: Field) -> st.SearchStrategy[Any]:
    single = record(field.fields) if field.type == "RECORD" else VALUES[field.type]
    if field.mode is Mode.REPEATED:
        return st.lists(single, max_size=3)
    return single if field.mode is Mode.REQUIRED else st.none() | single


def record(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({field.name: values(field) for field in schema})


def sent(row: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """A row as fastavro reads it."""
    return {field.name: sent_in_mode(row[field.name], field) for field in schema}


def sent_in_mode(value: Any, field: Field) -> Any:
    if field.mode is Mode.REPEATED:
        return [sent_value(item, field) for item in value]
    return None if value is None else sent_value(value, field)


def sent_value(value: Any, field: Field) -> Any:
    if field.type == "RECORD":
        return sent(value, field.fields)
    return AS_SENT[field.type](value) if field.type in AS_SENT else value


def read_avro(content: bytes, encoder: RowEncoder) -> list[Any]:
    schema = fastavro.parse_schema(json.loads(encoder.schema))
    stream = io.BytesIO(content)
    rows = []
    while stream.tell() < len(content):
        rows.append(fastavro.schemaless_reader(stream, schema))
    return rows


def read_arrow(content: bytes, encoder: RowEncoder) -> list[Any]:
    schema = pa.ipc.read_schema(pa.py_buffer(encoder.schema))
    return list(pa.ipc.read_record_batch(pa.py_buffer(content), schema).to_pylist())


@st.composite
def tables(draw: st.DrawFn) -> tuple[Schema, list[dict[str, Any]]]:
    schema = (draw(fields("a")), draw(fields("b")))
    return schema, draw(st.lists(record(schema), min_size=1, max_size=5))


@settings(deadline=None, max_examples=50)
@given(tables(), st.integers(0, 2))
def test_any_value_of_any_type_survives_avro(
    table: tuple[Schema, list[dict[str, Any]]], skipped: int
) -> None:
    schema, rows = table
    batch = pa.RecordBatch.from_pylist(rows, arrow_schema(schema)).slice(skipped)
    content = encode_rows(batch, schema)
    assert read_avro(content, avro_encoder(schema)) == [sent(row, schema) for row in rows[skipped:]]


@settings(deadline=None, max_examples=50)
@given(tables(), st.sampled_from(Compression))
def test_any_value_of_any_type_survives_arrow(
    table: tuple[Schema, list[dict[str, Any]]], compression: Compression
) -> None:
    schema, rows = table
    encoder = arrow_encoder(schema, compression)
    batch = pa.RecordBatch.from_pylist(rows, arrow_schema(schema))
    assert read_arrow(encoder.encode(batch), encoder) == rows


def test_floats_that_are_no_numbers_survive_avro() -> None:
    schema = (Field("f", "FLOAT"),)
    numbers = [float("nan"), float("inf"), float("-inf"), -0.0]
    batch = pa.RecordBatch.from_pydict({"f": numbers}, arrow_schema(schema))
    read = read_avro(encode_rows(batch, schema), avro_encoder(schema))
    assert [str(row["f"]) for row in read] == ["nan", "inf", "-inf", "-0.0"]


@pytest.mark.parametrize(
    ("field", "value"),
    [(Field("a", "STRING", Mode.REQUIRED), None), (Field("a", "STRING", Mode.REPEATED), [None])],
)
def test_a_null_that_the_schema_does_not_know_is_refused(field: Field, value: Any) -> None:
    batch = pa.RecordBatch.from_pylist([{"a": value}], arrow_schema((field,)))
    with pytest.raises(InvalidData, match="a must not be NULL"):
        encode_rows(batch, (field,))


def test_absent_repeated_values_are_none() -> None:
    schema = (Field("a", "STRING", Mode.REPEATED),)
    batch = pa.RecordBatch.from_pylist([{"a": None}, {"a": ["x"]}], arrow_schema(schema))
    read = read_avro(encode_rows(batch, schema), avro_encoder(schema))
    assert read == [{"a": []}, {"a": ["x"]}]


# "Arrow schema details" and "Avro schema details" of BigQuery's documentation.
DOCUMENTED: dict[str, tuple[pa.DataType, Any]] = {
    "INTEGER": (pa.int64(), "long"),
    "FLOAT": (pa.float64(), "double"),
    "BOOLEAN": (pa.bool_(), "boolean"),
    "STRING": (pa.string(), "string"),
    "BYTES": (pa.binary(), "bytes"),
    "NUMERIC": (
        pa.decimal128(38, 9),
        {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
    ),
    "BIGNUMERIC": (
        pa.decimal256(76, 38),
        {"type": "bytes", "logicalType": "decimal", "precision": 77, "scale": 38},
    ),
    "DATE": (pa.date32(), {"type": "int", "logicalType": "date"}),
    "TIME": (pa.time64("us"), {"type": "long", "logicalType": "time-micros"}),
    "DATETIME": (pa.timestamp("us"), {"type": "string", "logicalType": "datetime"}),
    "TIMESTAMP": (pa.timestamp("us", "UTC"), {"type": "long", "logicalType": "timestamp-micros"}),
    "JSON": (pa.string(), {"type": "string", "sqlType": "JSON"}),
    "GEOGRAPHY": (pa.string(), {"type": "string", "sqlType": "GEOGRAPHY"}),
}
EXTENSIONS = {
    "DATETIME": b"google:sqlType:datetime",
    "JSON": b"google:sqlType:json",
    "GEOGRAPHY": b"google:sqlType:geography",
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_schemas_are_those_of_the_documentation(name: str) -> None:
    arrow_type, avro_type = DOCUMENTED[name]
    schema = (Field("a", name), Field("r", "RECORD", Mode.NULLABLE, (Field("a", name),)))
    arrow = pa.ipc.read_schema(pa.py_buffer(arrow_encoder(schema, Compression.NONE).schema))
    for column in (arrow.field("a"), arrow.field("r").type.field("a")):
        assert column.type == arrow_type
        metadata = column.metadata or {}
        assert metadata.get(b"ARROW:extension:name") == EXTENSIONS.get(name)
    (first, _) = json.loads(avro_encoder(schema).schema)["fields"]
    assert first == {"name": "a", "type": ["null", avro_type]}


@pytest.mark.parametrize("make", [avro_encoder, lambda s: arrow_encoder(s, Compression.NONE)])
def test_blocks_are_bounded_however_rows_differ_in_size(make: Any) -> None:
    schema = (Field("s", "STRING"),)
    texts = ["x"] * 5000 + ["y" * 3_000_000] * 4 + ["z"] * 5000
    rows = pa.table({"s": texts}, arrow_schema(schema))
    blocks = list(make(schema).blocks(rows))
    assert max(len(block.content) for block in blocks) <= MOST_BYTES
    assert sum(block.rows for block in blocks) == len(texts)
    assert len(blocks) < 20


def test_a_row_that_is_larger_than_a_block_is_sent() -> None:
    schema = (Field("s", "STRING"),)
    rows = pa.table({"s": ["y" * (MOST_BYTES + 1)]}, arrow_schema(schema))
    assert [block.rows for block in avro_encoder(schema).blocks(rows)] == [1]


def test_the_edges_of_every_type() -> None:
    schema = (Field("d", "DATE"), Field("t", "TIME"), Field("w", "DATETIME"), Field("n", "NUMERIC"))
    row = {
        "d": date(1, 1, 1),
        "t": time(23, 59, 59, 999_999),
        "w": datetime(9999, 12, 31, 23, 59, 59, 999_999),
        "n": Decimal("-99999999999999999999999999999.999999999"),
    }
    batch = pa.RecordBatch.from_pylist([row], arrow_schema(schema))
    (read,) = read_avro(encode_rows(batch, schema), avro_encoder(schema))
    assert read == row | {"w": "9999-12-31T23:59:59.999999"}


@pytest.mark.parametrize("unscaled", [2**255 - 1, -(2**255), 127, 128, -128, -129, 0, -1])
def test_bignumeric_in_its_full_range(unscaled: int) -> None:
    schema = (Field("n", "BIGNUMERIC", Mode.REQUIRED),)
    stored = pa.py_buffer(unscaled.to_bytes(32, "little", signed=True))
    column = pa.Array.from_buffers(pa.decimal256(76, 38), 1, [None, stored])
    batch = pa.RecordBatch.from_arrays([column], schema=arrow_schema(schema))
    (read,) = read_avro(encode_rows(batch, schema), avro_encoder(schema))
    assert read["n"] == Decimal(unscaled).scaleb(-38, Context(prec=77))
