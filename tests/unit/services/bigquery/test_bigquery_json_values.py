"""A JSON column in files: JSON files hold its values, all other ones their text."""

from typing import Any

import orjson
import pytest

from tf_dataflow_serving.services.bigquery.files.reading import (
    ReadOptions,
    SourceFile,
    read_rows,
    rows_to_arrow,
)
from tf_dataflow_serving.services.bigquery.files.writing import WriteOptions, write_rows
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

JSON = Field("json", "JSON")
SCHEMA: Schema = (
    JSON,
    Field("list", "JSON", Mode.REPEATED),
    Field("record", "RECORD", fields=(JSON,)),
)
VALUES = ["text", '{"a": 1}', "", {"b": [1.5, None]}, [], 7, True]


def read(content: bytes, source_format: str) -> list[dict[str, Any]]:
    file = SourceFile("gs://b/f", content)
    rows: list[dict[str, Any]] = read_rows(
        source_format, file, SCHEMA, ReadOptions()
    ).rows.to_pylist()
    return rows


@pytest.mark.parametrize("value", VALUES)
def test_a_json_file_is_read_and_written_as_it_is(value: Any) -> None:
    row = {"json": value, "list": [value, value], "record": {"json": value}}
    rows = read(orjson.dumps(row), "NEWLINE_DELIMITED_JSON")
    text = orjson.dumps(value).decode()
    assert rows == [{"json": text, "list": [text, text], "record": {"json": text}}]
    options = WriteOptions(format="NEWLINE_DELIMITED_JSON")
    assert orjson.loads(write_rows(rows_to_arrow(rows, SCHEMA), SCHEMA, options)) == row


def test_a_csv_file_holds_text() -> None:
    file = SourceFile("gs://b/f", b'"{""a"": 1}"\n"""text"""\n')
    rows = read_rows("CSV", file, (JSON,), ReadOptions()).rows.to_pylist()
    assert rows == [{"json": '{"a": 1}'}, {"json": '"text"'}]
