"""Reads the files of load jobs: newline-delimited JSON, CSV, Avro, Parquet.

Options and defaults: JobConfigurationLoad
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad).
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tf_dataflow_serving.services.bigquery import autodetect
from tf_dataflow_serving.services.bigquery.avro import schema_from_avro
from tf_dataflow_serving.services.bigquery.errors import InvalidData, InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.schema import (
    Schema,
    arrow_schema,
    schema_from_arrow,
)
from tf_dataflow_serving.services.bigquery.values import UnknownFields, record_converter

_GZIP_MAGIC = b"\x1f\x8b"
Row = TypeVar("Row")


@dataclass(frozen=True)
class ReadOptions:
    """How a load job says its files are to be read."""

    max_bad_records: int = 0
    unknown: UnknownFields = UnknownFields.REJECT
    delimiter: str = ","
    quote: str = '"'
    skip_rows: int | None = None
    null_marker: str = ""
    jagged_rows: bool = False

    @classmethod
    def from_rest(cls, load: Mapping[str, Any]) -> Self:
        """Read the options of a JobConfigurationLoad."""
        ignore = bool(load.get("ignoreUnknownValues"))
        skip_rows = load.get("skipLeadingRows")
        delimiter = str(load.get("fieldDelimiter") or ",")
        return cls(
            max_bad_records=int(load.get("maxBadRecords") or 0),
            unknown=UnknownFields.IGNORE if ignore else UnknownFields.REJECT,
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter),
            quote=str(load.get("quote", '"')),
            skip_rows=None if skip_rows is None else int(skip_rows),
            null_marker=str(load.get("nullMarker") or ""),
            jagged_rows=bool(load.get("allowJaggedRows")),
        )


@dataclass(frozen=True)
class SourceFile:
    """One file of a load job: its name, for messages, and its bytes."""

    name: str
    content: bytes


def detect_schema(source_format: str, file: SourceFile, options: ReadOptions) -> Schema:
    """The schema that `file` has, or seems to have; raises InvalidData, Unsupported."""
    return _format(source_format).detect(file, options)


def detect_header(source_format: str, file: SourceFile, options: ReadOptions) -> ReadOptions:
    """The options with a CSV file's header skipped, unless they say what to skip."""
    if source_format != "CSV" or options.skip_rows is not None:
        return options
    rows = list(_csv_rows(file, options, 0))
    has_header = bool(rows) and autodetect.is_header(rows[0], rows[1:])
    return replace(options, skip_rows=int(has_header))


def read_rows(
    source_format: str, file: SourceFile, schema: Schema, options: ReadOptions
) -> pa.Table:
    """The rows of `file` as an Arrow table with exactly the columns of `schema`.

    Raises InvalidData if more rows than `max_bad_records` do not fit.
    """
    return _format(source_format).read(file, schema, options)


def rows_to_arrow(rows: list[dict[str, Any]], schema: Schema) -> pa.Table:
    """An Arrow table of records in Python form."""
    return pa.Table.from_pylist(rows, schema=arrow_schema(schema))


def _read_json(file: SourceFile, schema: Schema, options: ReadOptions) -> pa.Table:
    convert = record_converter(schema, options.unknown)
    rows = _converted(file, _json_lines(file), lambda line: convert(_json_object(line)), options)
    return rows_to_arrow(rows, schema)


def _json_lines(file: SourceFile) -> Iterator[bytes]:
    return (line for line in _inflated(file).splitlines() if line.strip())


def _json_object(line: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidData(f"Could not parse JSON: {error}.") from error
    if not isinstance(record, dict):
        raise InvalidData("Start of object expected.")
    return record


def _detect_json(file: SourceFile, _options: ReadOptions) -> Schema:
    return autodetect.detect_schema(_json_object(line) for line in _json_lines(file))


def _read_csv(file: SourceFile, schema: Schema, options: ReadOptions) -> pa.Table:
    convert = record_converter(schema, options.unknown)

    def convert_cells(cells: list[str]) -> dict[str, Any]:
        _check_width(cells, schema, options)
        pairs = zip(schema, cells, strict=False)
        return convert({field.name: _csv_value(cell, field.type, options) for field, cell in pairs})

    lines = _csv_rows(file, options, options.skip_rows or 0)
    return rows_to_arrow(_converted(file, lines, convert_cells, options), schema)


def _csv_rows(file: SourceFile, options: ReadOptions, skip: int) -> Iterator[list[str]]:
    text = io.StringIO(_inflated(file).decode("utf-8-sig", errors="replace"), newline="")
    lines = csv.reader(
        text,
        delimiter=options.delimiter,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
    )
    return (cells for number, cells in enumerate(lines) if number >= skip and cells)


def _check_width(cells: list[str], schema: Schema, options: ReadOptions) -> None:
    if len(cells) < len(schema) and not options.jagged_rows:
        raise InvalidData(f"Too few columns: expected {len(schema)} column(s) but got {len(cells)}")
    if len(cells) > len(schema) and options.unknown is UnknownFields.REJECT:
        raise InvalidData(f"Too many values in row: expected {len(schema)}, got {len(cells)}")


def _csv_value(cell: str, field_type: str, options: ReadOptions) -> str | None:
    if cell != options.null_marker:
        return cell
    # With the default marker an empty STRING or BYTES cell is an empty value.
    keeps_empty = options.null_marker == "" and field_type in ("STRING", "BYTES")
    return cell if keeps_empty else None


def _detect_csv(file: SourceFile, options: ReadOptions) -> Schema:
    skipped = options.skip_rows or 0
    rows = list(_csv_rows(file, options, max(skipped - 1, 0)))
    if not rows:
        raise InvalidData("There is no row to detect a schema from.", file.name)
    header, values = (rows[0], rows[1:]) if skipped else (None, rows)
    return autodetect.detect_csv_schema(header, values)


def _read_avro(file: SourceFile, schema: Schema, options: ReadOptions) -> pa.Table:
    convert = record_converter(schema, options.unknown)
    return rows_to_arrow(_converted(file, _avro_reader(file), convert, options), schema)


def _avro_reader(file: SourceFile) -> Any:
    try:
        return fastavro.reader(io.BytesIO(file.content))
    except (ValueError, EOFError) as error:
        raise InvalidData(f"The Apache Avro file could not be read: {error}", file.name) from error


def _detect_avro(file: SourceFile, _options: ReadOptions) -> Schema:
    return schema_from_avro(_avro_reader(file).writer_schema)


def _read_parquet(file: SourceFile, schema: Schema, _options: ReadOptions) -> pa.Table:
    table = _parquet_table(file)
    wanted = arrow_schema(schema)
    columns = [
        table.column(column.name)
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in wanted
    ]
    try:
        return pa.Table.from_arrays(columns, names=wanted.names).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidData(f"Parquet column has another type: {error}", file.name) from error


def _parquet_table(file: SourceFile) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(file.content))
    except pa.ArrowInvalid as error:
        raise InvalidData(f"Input file is not in Parquet format: {error}", file.name) from error


def _detect_parquet(file: SourceFile, _options: ReadOptions) -> Schema:
    return schema_from_arrow(_parquet_table(file).schema)


def _converted(
    file: SourceFile,
    rows: Iterator[Row],
    convert: Callable[[Row], dict[str, Any]],
    options: ReadOptions,
) -> list[dict[str, Any]]:
    good: list[dict[str, Any]] = []
    bad = 0
    for number, row in enumerate(rows, start=1):
        try:
            good.append(convert(row))
        except InvalidData as error:
            bad += 1
            if bad > options.max_bad_records:
                raise InvalidData(f"Row {number}: {error.message}", file.name) from error
    return good


def _inflated(file: SourceFile) -> bytes:
    if not file.content.startswith(_GZIP_MAGIC):
        return file.content
    with pa.input_stream(pa.BufferReader(file.content), compression="gzip") as stream:
        content: bytes = stream.read()
        return content


@dataclass(frozen=True)
class _Format:
    read: Callable[[SourceFile, Schema, ReadOptions], pa.Table]
    detect: Callable[[SourceFile, ReadOptions], Schema]


_FORMATS: Mapping[str, _Format] = {
    "NEWLINE_DELIMITED_JSON": _Format(_read_json, _detect_json),
    "CSV": _Format(_read_csv, _detect_csv),
    "AVRO": _Format(_read_avro, _detect_avro),
    "PARQUET": _Format(_read_parquet, _detect_parquet),
}


def _format(name: str) -> _Format:
    try:
        return _FORMATS[name]
    except KeyError:
        if name in ("ORC", "DATASTORE_BACKUP"):
            raise Unsupported(f"Files in the format {name} cannot be loaded") from None
        raise InvalidRequest(f"Unknown source format: {name}") from None
