"""What is written is read back the same, in every format."""

import gzip
import io
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidData, InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.files.avro import avro_schema, schema_from_avro
from tf_dataflow_serving.services.bigquery.files.reading import (
    ReadOptions,
    SourceFile,
    detect_header,
    detect_schema,
    read_rows,
)
from tf_dataflow_serving.services.bigquery.files.writing import WriteOptions, write_rows
from tf_dataflow_serving.services.bigquery.types import bignumeric
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow

SCALARS: Schema = (
    Field("integer", "INTEGER"),
    Field("float", "FLOAT"),
    Field("boolean", "BOOLEAN"),
    Field("string", "STRING"),
    Field("bytes", "BYTES"),
    Field("numeric", "NUMERIC"),
    Field("bignumeric", "BIGNUMERIC"),
    Field("date", "DATE"),
    Field("time", "TIME"),
    Field("datetime", "DATETIME"),
    Field("timestamp", "TIMESTAMP"),
)
NESTED: Schema = (
    *SCALARS,
    Field("list", "TIMESTAMP", Mode.REPEATED),
    Field("left", "RECORD", fields=(Field("inner", "RECORD", fields=SCALARS),)),
    Field("right", "RECORD", Mode.REPEATED, (Field("inner", "RECORD", fields=SCALARS),)),
)
DATETIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
VALUES = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    "bytes": st.binary(),
    "numeric": st.decimals(-(10**28), 10**28, places=9),
    "bignumeric": st.integers(bignumeric.MIN, bignumeric.MAX).map(bignumeric.from_units),
    "date": st.dates(),
    "time": st.times(),
    "datetime": DATETIMES,
    "timestamp": DATETIMES.map(lambda moment: moment.replace(tzinfo=UTC)),
}
SCALAR_ROWS = st.fixed_dictionaries({name: st.none() | some for name, some in VALUES.items()})
INNER = st.fixed_dictionaries({"inner": st.none() | SCALAR_ROWS})
NESTED_ROWS = st.builds(
    lambda scalars, values, left, right: {**scalars, "list": values, "left": left, "right": right},
    SCALAR_ROWS,
    st.lists(VALUES["timestamp"], max_size=2),
    st.none() | INNER,
    st.lists(INNER, max_size=2),
)


def options_of(name: str, **more: Any) -> WriteOptions:
    return WriteOptions.from_rest({"destinationFormat": name, **more})


def round_trip(name: str, rows: list[dict[str, Any]], schema: Schema, **more: Any) -> list[Any]:
    content = write_rows(rows_to_arrow(rows, schema), schema, options_of(name, **more))
    csv = {"skipLeadingRows": 1, "nullMarker": "\\N", "allowQuotedNewlines": True}
    load = csv if name == "CSV" else {}
    read = read_rows(name, SourceFile("f", content), schema, ReadOptions.from_rest(load)).rows
    return read.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("NEWLINE_DELIMITED_JSON", "NONE"),
        ("NEWLINE_DELIMITED_JSON", "GZIP"),
        ("AVRO", "DEFLATE"),
        ("PARQUET", "SNAPPY"),
    ],
)
@settings(deadline=None)
@given(rows=st.lists(NESTED_ROWS, max_size=3))
def test_every_value_survives(name: str, compression: str, rows: list[dict[str, Any]]) -> None:
    again = round_trip(name, rows, NESTED, compression=compression, useAvroLogicalTypes=True)
    assert again == rows_to_arrow(rows, NESTED).to_pylist()


@settings(deadline=None)
@given(rows=st.lists(NESTED_ROWS, max_size=3))
def test_avro_without_logical_types_holds_text_that_loads_again(rows: list[dict[str, Any]]) -> None:
    assert round_trip("AVRO", rows, NESTED) == rows_to_arrow(rows, NESTED).to_pylist()


@settings(deadline=None)
@given(row=st.fixed_dictionaries(VALUES))
def test_csv_keeps_what_is_not_null(row: dict[str, Any]) -> None:
    if "\r" in row["string"] or row["string"] == "\\N":
        return
    assert round_trip("CSV", [row], SCALARS) == rows_to_arrow([row], SCALARS).to_pylist()


def test_json_encodes_as_bigquery_does() -> None:
    row = {
        "integer": 2**60,
        "float": math.inf,
        "boolean": True,
        "bytes": b"\x00\xff",
        "numeric": Decimal("1.500000000"),
        "date": date(2024, 1, 2),
        "time": time(1, 2, 3, 4),
        "datetime": datetime(2024, 1, 2, 3, 4, 5, 6),
        "timestamp": datetime(2024, 1, 2, 3, 4, 5, 6, UTC),
    }
    content = write_rows(rows_to_arrow([row], NESTED), NESTED, options_of("NEWLINE_DELIMITED_JSON"))
    # Nulls are left out; an empty list is not null.
    assert orjson.loads(content) == {
        "integer": str(2**60),
        "float": "Infinity",
        "boolean": True,
        "bytes": "AP8=",
        "numeric": "1.5",
        "date": "2024-01-02",
        "time": "01:02:03.000004",
        "datetime": "2024-01-02T03:04:05.000006",
        "timestamp": "2024-01-02 03:04:05.000006 UTC",
        "list": [],
        "right": [],
    }


def test_csv_can_not_hold_nested_data() -> None:
    with pytest.raises(InvalidRequest, match="list"):
        write_rows(rows_to_arrow([], NESTED), NESTED, options_of("CSV"))


def test_csv_has_a_header_unless_it_is_not_wanted() -> None:
    schema = (Field("a", "INTEGER"), Field("b", "STRING"))
    table = rows_to_arrow([{"a": 1, "b": "x;y"}], schema)
    assert write_rows(table, schema, options_of("CSV")) == b"a,b\n1,x;y\n"
    bare = options_of("CSV", printHeader=False, fieldDelimiter=";")
    assert write_rows(table, schema, bare) == b'1;"x;y"\n'


@pytest.mark.parametrize(
    "extract",
    [{"destinationFormat": "ORC"}, {"destinationFormat": "AVRO", "compression": "GZIP"}],
)
def test_impossible_files_are_refused(extract: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        WriteOptions.from_rest(extract)


def read(content: bytes, schema: Schema, name: str = "NEWLINE_DELIMITED_JSON", **load: Any) -> Any:
    file = SourceFile("gs://b/f", content)
    return read_rows(name, file, schema, ReadOptions.from_rest(load)).rows.to_pylist()


class TestReading:
    SCHEMA = (Field("a", "INTEGER"), Field("b", "STRING"))

    def test_a_bad_row_is_told_with_its_number_and_file(self) -> None:
        with pytest.raises(InvalidData, match="Row 2: no such field: c") as caught:
            read(b'{"a": 1}\n{"c": 1}\n', self.SCHEMA)
        assert caught.value.location == "gs://b/f"

    def test_some_bad_rows_are_let_pass_on_demand(self) -> None:
        content = b'{"a": 1}\nno json\n[1]\n{"a": 2}\n'
        assert [row["a"] for row in read(content, self.SCHEMA, maxBadRecords=2)] == [1, 2]
        with pytest.raises(InvalidData):
            read(content, self.SCHEMA, maxBadRecords=1)

    def test_unknown_fields_are_ignored_on_demand(self) -> None:
        rows = read(b'{"a": 1, "c": 2}', self.SCHEMA, ignoreUnknownValues=True)
        assert rows == [{"a": 1, "b": None}]

    def test_empty_csv_cells_are_null_but_for_strings(self) -> None:
        assert read(b",\n", self.SCHEMA, "CSV") == [{"a": None, "b": ""}]
        assert read(b"NA,NA\n", self.SCHEMA, "CSV", nullMarker="NA") == [{"a": None, "b": None}]

    @pytest.mark.parametrize("content", [b"1\n", b"1,x,y\n"])
    def test_csv_rows_have_a_cell_a_column(self, content: bytes) -> None:
        with pytest.raises(InvalidData):
            read(content, self.SCHEMA, "CSV")
        load = {"allowJaggedRows": True, "ignoreUnknownValues": True}
        assert read(content, self.SCHEMA, "CSV", **load)[0]["a"] == 1

    def test_csv_in_another_dialect(self) -> None:
        content = b"# head\n'1'\t'x\ty'\n"
        load = {"fieldDelimiter": "tab", "quote": "'", "skipLeadingRows": "1"}
        assert read(content, self.SCHEMA, "CSV", **load) == [{"a": 1, "b": "x\ty"}]

    def test_files_may_be_compressed(self) -> None:
        assert read(gzip.compress(b'{"a": 1}'), self.SCHEMA) == [{"a": 1, "b": None}]

    @pytest.mark.parametrize("name", ["AVRO", "PARQUET"])
    def test_what_is_no_file_of_the_format_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidData):
            read(b"nonsense", self.SCHEMA, name)

    def test_parquet_columns_are_matched_by_name(self) -> None:
        content = io.BytesIO()
        pq.write_table(pa.table({"b": ["x"], "a": pa.array([1], pa.int32())}), content)
        assert read(content.getvalue(), self.SCHEMA, "PARQUET") == [{"a": 1, "b": "x"}]

    def test_formats_that_are_not_there_are_told_apart(self) -> None:
        with pytest.raises(Unsupported):
            read(b"", self.SCHEMA, "ORC")
        with pytest.raises(InvalidRequest):
            read(b"", self.SCHEMA, "XML")


class TestDetection:
    def detect(self, content: bytes, name: str, **load: Any) -> list[tuple[str, str, str]]:
        file = SourceFile("f", content)
        options = detect_header(name, file, ReadOptions.from_rest(load))
        fields = detect_schema(name, file, options)
        return [(field.name, field.type, field.mode.value) for field in fields]

    def test_json_types_are_joined_over_all_rows(self) -> None:
        content = (
            b'{"a": 1, "b": null, "c": [], "d": "2024-01-01"}\n'
            b'{"a": 1.5, "b": true, "c": [1, 2], "d": "2024-01-01 10:00:00 UTC", "e": null}\n'
        )
        assert self.detect(content, "NEWLINE_DELIMITED_JSON") == [
            ("a", "FLOAT", "NULLABLE"),
            ("b", "BOOLEAN", "NULLABLE"),
            ("c", "INTEGER", "REPEATED"),
            ("d", "STRING", "NULLABLE"),
            ("e", "STRING", "NULLABLE"),
        ]

    def test_nested_json_fields_are_joined_too(self) -> None:
        content = b'{"r": {"x": null}}\n{"r": {"x": 1, "y": ["2024-01-01 10:00:00"]}}\n'
        file = SourceFile("f", content)
        (record,) = detect_schema("NEWLINE_DELIMITED_JSON", file, ReadOptions())
        assert record.fields == (Field("x", "INTEGER"), Field("y", "TIMESTAMP", Mode.REPEATED))

    @pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": [1]}\n', b'{"a": 1}\n{"a": {"b": 1}}\n'])
    def test_json_values_of_different_shape_contradict_each_other(self, content: bytes) -> None:
        with pytest.raises(InvalidData):
            self.detect(content, "NEWLINE_DELIMITED_JSON")

    def test_a_csv_header_is_found(self) -> None:
        assert self.detect(b"id,my name\n1,x\n2.5,y\n", "CSV") == [
            ("id", "FLOAT", "NULLABLE"),
            ("my_name", "STRING", "NULLABLE"),
        ]

    def test_a_csv_file_of_text_has_no_header(self) -> None:
        assert [name for name, *_ in self.detect(b"a,b\nc,d\n", "CSV")] == [
            "string_field_0",
            "string_field_1",
        ]

    def test_the_rows_to_skip_may_be_told(self) -> None:
        detected = self.detect(b"a,b\nc,d\n", "CSV", skipLeadingRows=1)
        assert [name for name, *_ in detected] == ["a", "b"]

    def test_avro_and_parquet_tell_their_own(self) -> None:
        parsed = fastavro.parse_schema(avro_schema(NESTED, logical_types=True))
        assert shape(schema_from_avro(parsed)) == shape(NESTED)
        content = write_rows(rows_to_arrow([], NESTED), NESTED, options_of("PARQUET"))
        file = SourceFile("f", content)
        assert shape(detect_schema("PARQUET", file, ReadOptions())) == shape(NESTED)

    def test_avro_unions_of_several_types_are_not_supported(self) -> None:
        field = {"name": "u", "type": ["null", "long", "string"]}
        with pytest.raises(Unsupported):
            schema_from_avro({"type": "record", "name": "r", "fields": [field]})


def shape(schema: Schema) -> Any:
    return [(f.name, f.type, f.mode is Mode.REPEATED, shape(f.fields)) for f in schema]
