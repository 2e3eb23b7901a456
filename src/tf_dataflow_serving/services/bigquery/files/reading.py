"""Reads the files of load jobs: newline-delimited JSON, CSV, Avro, Parquet.

Options and defaults: JobConfigurationLoad
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad).
"""

import csv
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tf_dataflow_serving.services.bigquery.errors import InvalidData, InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.files import autodetect
from tf_dataflow_serving.services.bigquery.files.avro import schema_from_avro
from tf_dataflow_serving.services.bigquery.jobs.load_options import (
    encoding_of,
    refuse_unknown_options,
    single_character,
    whole_number,
)
from tf_dataflow_serving.services.bigquery.types.schema import (
    Schema,
    arrow_schema,
    schema_from_arrow,
)
from tf_dataflow_serving.services.bigquery.types.values import (
    OF_JSON_FILES,
    UnknownFields,
    record_converter,
)
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow

_DEFAULT_MARKERS = frozenset({""})
_GZIP_MAGIC = b"\x1f\x8b"
Row = TypeVar("Row")
# BigQuery's limit of a cell: "Quotas and limits", load jobs.
csv.field_size_limit(100 * 1024 * 1024)
# What the readers of the formats raise for bytes that are none of theirs, or not all of them.
_UNREADABLE = (
    pa.ArrowException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    csv.Error,
    fastavro.schema.SchemaParseException,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class ReadOptions:
    """How a load job says its files are to be read."""

    max_bad_records: int = 0
    unknown: UnknownFields = UnknownFields.REJECT
    delimiter: str = ","
    quote: str = '"'
    skip_rows: int | None = None
    null_markers: frozenset[str] = _DEFAULT_MARKERS
    jagged_rows: bool = False
    quoted_newlines: bool = False
    encoding: str = "utf-8-sig"

    @classmethod
    def from_rest(cls, load: Mapping[str, Any]) -> Self:
        """Read the options of a JobConfigurationLoad; raises InvalidRequest, Unsupported."""
        refuse_unknown_options(load)
        ignore = bool(load.get("ignoreUnknownValues"))
        delimiter = str(load.get("fieldDelimiter") or ",")
        return cls(
            max_bad_records=whole_number(load, "maxBadRecords") or 0,
            unknown=UnknownFields.IGNORE if ignore else UnknownFields.REJECT,
            delimiter=single_character(
                "fieldDelimiter", {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
            ),
            quote=single_character("quote", str(load.get("quote", '"'))),
            skip_rows=whole_number(load, "skipLeadingRows"),
            null_markers=frozenset(load.get("nullMarkers") or [load.get("nullMarker") or ""]),
            jagged_rows=bool(load.get("allowJaggedRows")),
            quoted_newlines=bool(load.get("allowQuotedNewlines")),
            encoding=encoding_of(load),
        )


@dataclass(frozen=True)
class SourceFile:
    """One file of a load job: its name, for messages, and its bytes."""

    name: str
    content: bytes


def detect_schema(source_format: str, file: SourceFile, options: ReadOptions) -> Schema:
    """The schema that `file` has, or seems to have; raises InvalidData, Unsupported."""
    known = _format(source_format)
    with _failures_told(file):
        return known.detect(file, options)


def detect_header(source_format: str, file: SourceFile, options: ReadOptions) -> ReadOptions:
    """The options with a CSV file's header skipped, unless they say what to skip."""
    if source_format != "CSV" or options.skip_rows is not None:
        return options
    with _failures_told(file):
        rows = list(_csv_rows(file, options, 0))
    has_header = bool(rows) and autodetect.is_header(rows[0], rows[1:])
    return replace(options, skip_rows=int(has_header))


@dataclass(frozen=True)
class RowsRead:
    """The rows of a file that fit, and the number of those that did not."""

    rows: pa.Table
    bad_records: int = 0


def read_rows(
    source_format: str, file: SourceFile, schema: Schema, options: ReadOptions
) -> RowsRead:
    """The rows of `file`, as an Arrow table with exactly the columns of `schema`.

    Raises InvalidData if more rows than `max_bad_records` do not fit.
    """
    known = _format(source_format)
    with _failures_told(file):
        return known.read(file, schema, options)


@contextmanager
def _failures_told(file: SourceFile) -> Iterator[None]:
    """Raise InvalidData for a file that is broken; else the client would retry for minutes."""
    try:
        yield
    except _UNREADABLE as error:
        raise InvalidData(f"The file could not be read: {error!r}", file.name) from error


def _read_json(file: SourceFile, schema: Schema, options: ReadOptions) -> RowsRead:
    convert = record_converter(schema, options.unknown, scalars=OF_JSON_FILES)
    lines = _json_lines(file, options)
    rows, bad = _converted(file, lines, lambda line: convert(_json_object(line)), options)
    return RowsRead(rows_to_arrow(rows, schema), bad)


def _json_lines(file: SourceFile, options: ReadOptions) -> Iterator[str]:
    # Not splitlines(), which also splits at characters that JSON text may hold.
    lines = _decoded(file, options).split("\n")
    return (line for line in lines if line.strip())


def _decoded(file: SourceFile, options: ReadOptions) -> str:
    return _inflated(file).decode(options.encoding, errors="replace")


def _json_object(line: str) -> Mapping[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidData(f"Could not parse JSON: {error}.") from error
    if not isinstance(record, dict):
        raise InvalidData("Start of object expected.")
    return record


def _detect_json(file: SourceFile, options: ReadOptions) -> Schema:
    return autodetect.detect_schema(_json_object(line) for line in _json_lines(file, options))


def _read_csv(file: SourceFile, schema: Schema, options: ReadOptions) -> RowsRead:
    convert = record_converter(schema, options.unknown)

    def convert_cells(cells: list[str]) -> dict[str, Any]:
        _check_cells(cells, schema, options)
        pairs = zip(schema, cells, strict=False)
        return convert({field.name: _csv_value(cell, field.type, options) for field, cell in pairs})

    lines = _csv_rows(file, options, options.skip_rows or 0)
    rows, bad = _converted(file, lines, convert_cells, options)
    return RowsRead(rows_to_arrow(rows, schema), bad)


def _csv_rows(file: SourceFile, options: ReadOptions, skip: int) -> Iterator[list[str]]:
    text = io.StringIO(_decoded(file, options), newline="")
    lines = csv.reader(
        text,
        delimiter=options.delimiter,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
    )
    return (cells for number, cells in enumerate(lines) if number >= skip and cells)


def _check_cells(cells: list[str], schema: Schema, options: ReadOptions) -> None:
    if not options.quoted_newlines and any("\n" in cell or "\r" in cell for cell in cells):
        raise InvalidData("Data between quotes has a newline, without allowQuotedNewlines.")
    if len(cells) < len(schema) and not options.jagged_rows:
        raise InvalidData(f"Too few columns: expected {len(schema)} column(s) but got {len(cells)}")
    if len(cells) > len(schema) and options.unknown is UnknownFields.REJECT:
        raise InvalidData(f"Too many values in row: expected {len(schema)}, got {len(cells)}")


def _csv_value(cell: str, field_type: str, options: ReadOptions) -> str | None:
    if cell not in options.null_markers:
        return cell
    # With the default marker an empty STRING or BYTES cell is an empty value.
    is_default = options.null_markers == _DEFAULT_MARKERS
    return cell if is_default and field_type in ("STRING", "BYTES") else None


def _detect_csv(file: SourceFile, options: ReadOptions) -> Schema:
    skipped = options.skip_rows or 0
    rows = list(_csv_rows(file, options, max(skipped - 1, 0)))
    if not rows:
        raise InvalidData("There is no row to detect a schema from.", file.name)
    header, values = (rows[0], rows[1:]) if skipped else (None, rows)
    return autodetect.detect_csv_schema(header, values)


def _read_avro(file: SourceFile, schema: Schema, options: ReadOptions) -> RowsRead:
    convert = record_converter(schema, options.unknown)
    rows, bad = _converted(file, _avro_reader(file), convert, options)
    return RowsRead(rows_to_arrow(rows, schema), bad)


def _avro_reader(file: SourceFile) -> Any:
    try:
        return fastavro.reader(io.BytesIO(file.content))
    except (ValueError, EOFError) as error:
        raise InvalidData(f"The Apache Avro file could not be read: {error}", file.name) from error


def _detect_avro(file: SourceFile, _options: ReadOptions) -> Schema:
    return schema_from_avro(_avro_reader(file).writer_schema)


def _read_parquet(file: SourceFile, schema: Schema, options: ReadOptions) -> RowsRead:
    table = _parquet_table(file)
    _check_columns(file, table, schema, options)
    wanted = arrow_schema(schema)
    in_file = {name.lower(): index for index, name in enumerate(table.column_names)}
    columns = [
        table.column(in_file[column.name.lower()])
        if column.name.lower() in in_file
        else pa.nulls(table.num_rows, column.type)
        for column in wanted
    ]
    try:
        return RowsRead(pa.Table.from_arrays(columns, names=wanted.names).cast(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidData(f"Parquet column has another type: {error}", file.name) from error


def _check_columns(file: SourceFile, table: pa.Table, schema: Schema, options: ReadOptions) -> None:
    known = {field.name.lower() for field in schema}
    unknown = [name for name in table.column_names if name.lower() not in known]
    if unknown and options.unknown is UnknownFields.REJECT:
        raise InvalidData(f"no such field: {unknown[0]}.", file.name)


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
) -> tuple[list[dict[str, Any]], int]:
    """The rows that fit, and the number of those that did not."""
    good: list[dict[str, Any]] = []
    bad = 0
    for number, row in enumerate(rows, start=1):
        try:
            good.append(convert(row))
        except InvalidData as error:
            bad += 1
            if bad > options.max_bad_records:
                raise InvalidData(f"Row {number}: {error.message}", file.name) from error
    return good, bad


def _inflated(file: SourceFile) -> bytes:
    if not file.content.startswith(_GZIP_MAGIC):
        return file.content
    with pa.input_stream(pa.BufferReader(file.content), compression="gzip") as stream:
        content: bytes = stream.read()
        return content


@dataclass(frozen=True)
class _Format:
    read: Callable[[SourceFile, Schema, ReadOptions], RowsRead]
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
