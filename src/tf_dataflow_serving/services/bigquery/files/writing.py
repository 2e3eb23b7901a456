"""Writes the files of extract jobs: newline-delimited JSON, CSV, Avro, Parquet.

Encodings: "Exporting table data" (https://cloud.google.com/bigquery/docs/exporting-data).
"""

import base64
import csv
import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Self

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.files.avro import avro_schema
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

_CODECS: Mapping[str, Mapping[str, str]] = {
    "CSV": {"NONE": "", "GZIP": "gzip"},
    "NEWLINE_DELIMITED_JSON": {"NONE": "", "GZIP": "gzip"},
    "AVRO": {"NONE": "null", "DEFLATE": "deflate", "SNAPPY": "snappy"},
    "PARQUET": {"NONE": "none", "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd"},
}


@dataclass(frozen=True)
class WriteOptions:
    """How an extract job says its files are to be written."""

    format: str = "CSV"
    codec: str = ""
    delimiter: str = ","
    header: bool = True
    logical_types: bool = False

    @classmethod
    def from_rest(cls, extract: Mapping[str, Any]) -> Self:
        """Read the options of a JobConfigurationExtract; raises InvalidRequest."""
        name = str(extract.get("destinationFormat") or "CSV").upper()
        compression = str(extract.get("compression") or "NONE").upper()
        if name not in _CODECS:
            raise InvalidRequest(f"Unknown destination format: {name}")
        if compression not in _CODECS[name]:
            raise InvalidRequest(f"Compression {compression} is not possible for {name}")
        delimiter = str(extract.get("fieldDelimiter") or ",")
        return cls(
            format=name,
            codec=_CODECS[name][compression],
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter),
            header=bool(extract.get("printHeader", True)),
            logical_types=bool(extract.get("useAvroLogicalTypes")),
        )


def write_rows(table: pa.Table, schema: Schema, options: WriteOptions) -> bytes:
    """The file that holds the rows of `table`, whose columns are those of `schema`."""
    return _WRITERS[options.format](table, schema, options)


def _write_json(table: pa.Table, schema: Schema, options: WriteOptions) -> bytes:
    lines = (orjson.dumps(_json_record(row, schema)) + b"\n" for row in table.to_pylist())
    return _deflated(b"".join(lines), options)


def _json_record(record: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """A record as JSON; null fields are left out, as BigQuery does."""
    encoded: dict[str, Any] = {}
    for field in schema:
        value = record[field.name]
        if field.mode is Mode.REPEATED:
            encoded[field.name] = [_json_value(item, field) for item in value or ()]
        elif value is not None:
            encoded[field.name] = _json_value(value, field)
    return encoded


def _json_value(value: Any, field: Field) -> Any:
    if field.type == "RECORD":
        return _json_record(value, field.fields)
    if field.type == "JSON":
        return orjson.Fragment(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        # JSON has no NaN and no infinities: BigQuery writes them as text.
        return value if value - value == 0 else plain_text(value)
    return plain_text(value)


def plain_text(value: Any) -> str:  # noqa: PLR0911 - one per type
    """A scalar as text: in CSV always, in JSON for all but booleans and floats."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(value), str(value))
    return str(value)


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return f"{value.replace(tzinfo=None).isoformat(sep=' ')} UTC"


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _write_csv(table: pa.Table, schema: Schema, options: WriteOptions) -> bytes:
    nested = [field.name for field in schema if field.fields or field.mode is Mode.REPEATED]
    if nested:
        raise InvalidRequest(f"CSV cannot hold nested data: {', '.join(nested)}")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=options.delimiter, lineterminator="\n")
    if options.header:
        writer.writerow([field.name for field in schema])
    for row in table.to_pylist():
        values = (row[field.name] for field in schema)
        writer.writerow(["" if value is None else plain_text(value) for value in values])
    return _deflated(text.getvalue().encode(), options)


def _write_avro(table: pa.Table, schema: Schema, options: WriteOptions) -> bytes:
    content = io.BytesIO()
    declared = avro_schema(schema, logical_types=options.logical_types)
    as_text = frozenset({"DATETIME"}) if options.logical_types else _TEXT_WITHOUT_LOGICAL_TYPES
    rows = (_avro_record(row, schema, as_text) for row in table.to_pylist())
    fastavro.writer(content, fastavro.parse_schema(declared), rows, codec=options.codec)
    return content.getvalue()


_TEXT_WITHOUT_LOGICAL_TYPES = frozenset({"DATE", "TIME", "DATETIME"})


def _avro_record(
    record: Mapping[str, Any], schema: Schema, as_text: frozenset[str]
) -> dict[str, Any]:
    return {field.name: _avro_field(record[field.name], field, as_text) for field in schema}


def _avro_field(value: Any, field: Field, as_text: frozenset[str]) -> Any:
    if field.mode is Mode.REPEATED:
        return [_avro_value(item, field, as_text) for item in value or ()]
    return None if value is None else _avro_value(value, field, as_text)


def _avro_value(value: Any, field: Field, as_text: frozenset[str]) -> Any:
    if field.type == "RECORD":
        return _avro_record(value, field.fields, as_text)
    return value.isoformat() if field.type in as_text else value


def _write_parquet(table: pa.Table, _schema: Schema, options: WriteOptions) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, compression=options.codec)
    return content.getvalue()


def _deflated(content: bytes, options: WriteOptions) -> bytes:
    return gzip.compress(content, mtime=0) if options.codec == "gzip" else content


_WRITERS: Mapping[str, Callable[[pa.Table, Schema, WriteOptions], bytes]] = {
    "CSV": _write_csv,
    "NEWLINE_DELIMITED_JSON": _write_json,
    "AVRO": _write_avro,
    "PARQUET": _write_parquet,
}
