"""Files that are no files of their format, and options that say nothing, fail the job."""

import gzip
import io
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidData, InvalidRequest
from tf_dataflow_serving.services.bigquery.files.reading import (
    ReadOptions,
    SourceFile,
    detect_schema,
    read_rows,
)
from tf_dataflow_serving.services.bigquery.types.schema import Field

SCHEMA = (Field("a", "STRING"),)
ROWS = [{"a": f"value {number}"} for number in range(3)]


def avro(codec: str) -> bytes:
    fields = [{"name": "a", "type": "string"}]
    out = io.BytesIO()
    fastavro.writer(out, {"type": "record", "name": "r", "fields": fields}, ROWS, codec)
    return out.getvalue()


def parquet(**columns: list[Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


WHOLE = {
    "avro": ("AVRO", avro("null")),
    "deflated avro": ("AVRO", avro("deflate")),
    "parquet": ("PARQUET", parquet(a=["x", "y"])),
    "json": ("NEWLINE_DELIMITED_JSON", gzip.compress(b'{"a": "x"}\n' * 9)),
    "csv": ("CSV", gzip.compress(b"x\n" * 9)),
}


def read(name: str, content: bytes, **load: Any) -> list[Any]:
    file = SourceFile("gs://b/o", content)
    rows: list[Any] = read_rows(name, file, SCHEMA, ReadOptions.from_rest(load)).rows.to_pylist()
    return rows


@pytest.mark.parametrize("kind", WHOLE)
def test_a_truncated_file_never_fails_otherwise(kind: str) -> None:
    name, content = WHOLE[kind]
    failed = 0
    for end in range(1, len(content)):
        try:
            read(name, content[:end])
        except InvalidData as error:
            assert error.location == "gs://b/o"
            failed += 1
    assert failed > len(content) // 2


@pytest.mark.parametrize("kind", WHOLE)
def test_a_damaged_file_never_fails_otherwise(kind: str) -> None:
    name, content = WHOLE[kind]
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        for use in (read, detect):
            try:
                use(name, bytes(damaged))
            except InvalidData as error:
                assert error.message


def detect(name: str, content: bytes) -> Any:
    options = ReadOptions.from_rest({"skipLeadingRows": "1"})
    return detect_schema(name, SourceFile("gs://b/o", content), options)


def test_a_cell_may_be_long() -> None:
    assert read("CSV", b"x" * 200_000) == [{"a": "x" * 200_000}]


@pytest.mark.parametrize(
    "load",
    [
        {"skipLeadingRows": "abc"},
        {"skipLeadingRows": -1},
        {"skipLeadingRows": "9" * 5000},
        {"maxBadRecords": []},
        {"fieldDelimiter": "||"},
        {"fieldDelimiter": "\n"},
        {"quote": "''"},
    ],
)
def test_an_option_that_says_nothing_is_refused(load: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=f"Invalid value for {next(iter(load))}"):
        ReadOptions.from_rest(load)


def test_the_columns_of_parquet_are_found_in_any_case() -> None:
    assert read("PARQUET", parquet(A=["x"])) == [{"a": "x"}]
