"""Values as literals of GoogleSQL, and the INSERT statements that hold them.

The emulator's own way to insert rows (insertAll) encodes BYTES twice and breaks records that
hold arrays; literals are exact. Source: "Lexical structure and syntax"
(https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema
from tf_dataflow_serving.services.bigquery.upstream.ddl import single_type
from tf_dataflow_serving.services.bigquery.upstream.statements import insert_head
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

Render = Callable[[Any], str]

# The emulator's parser takes longer for each row of a long statement.
STATEMENT_CHARACTERS = 64 * 1024
_ROWS_AT_ONCE = 1_000


def insert_statements(table: TableRef, schema: Schema, rows: pa.Table) -> Iterator[str]:
    """INSERT statements for all rows; columns that `rows` lacks are not named.

    Raises Unsupported for a value that the emulator can't store.
    """
    known = {field.name: field for field in schema}
    renders = [literal(known[name]) for name in rows.column_names]
    head = insert_head(table, rows.column_names)
    for values in _chunks(_rendered(rows, renders)):
        yield head + values


def _rendered(rows: pa.Table, renders: Iterable[Render]) -> Iterator[str]:
    renders = list(renders)
    for batch in rows.to_batches(_ROWS_AT_ONCE):
        columns = (
            [render(value) for value in column.to_pylist()]
            for render, column in zip(renders, batch.columns, strict=True)
        )
        for cells in zip(*columns, strict=True):
            yield f"({','.join(cells)})"


def _chunks(values: Iterable[str]) -> Iterator[str]:
    chunk: list[str] = []
    size = 0
    for value in values:
        chunk.append(value)
        size += len(value)
        if size >= STATEMENT_CHARACTERS:
            yield ",".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield ",".join(chunk)


def literal(field: Field) -> Render:
    """Return a function from a value of a column, in Python form, to its literal.

    The function raises Unsupported for what the emulator can't store; it has no negative zero
    either, and keeps 0.0 in its place.
    """
    if field.type == "FLOAT" and field.mode is not Mode.REPEATED:
        return _unless_null(_named(_float, field))
    return _nested(field)


def _nested(field: Field) -> Render:
    single = _single(field)
    if field.mode is not Mode.REPEATED:
        return _unless_null(single)
    # Without its type, an empty array is taken for one of integers, and nulls in records too.
    prefix = f"ARRAY<{single_type(field)}>"
    if field.fields:
        return lambda values: f"{prefix}[{','.join(map(single, values or ()))}]"
    return lambda values: f"[{','.join(map(single, values))}]" if values else f"{prefix}[]"


def _single(field: Field) -> Render:
    if field.type == "RECORD":
        return _record(field.fields)
    try:
        return _named(_SCALARS[field.type], field)
    except KeyError:
        message = f"Values of type {field.type} cannot be written"
        raise Unsupported(message, field.name) from None


def _record(fields: Schema) -> Render:
    renders = [(field.name, _nested(field)) for field in fields]

    def render(record: Mapping[str, Any]) -> str:
        return f"STRUCT({','.join(render(record.get(name)) for name, render in renders)})"

    return render


def _unless_null(render: Render) -> Render:
    return lambda value: "NULL" if value is None else render(value)


def _named(render: Render, field: Field) -> Render:
    """Name the field in what `render` raises."""

    def named(value: Any) -> str:
        try:
            return render(value)
        except Unsupported as error:
            raise Unsupported(f"{error.message} (field: {field.name})", field.name) from error

    return named


def _float(number: float) -> str:
    if math.isinf(number):
        return f"IEEE_DIVIDE({math.copysign(1, number):.0f}, 0)"
    return _finite(number)


def _finite(number: float) -> str:
    if math.isfinite(number):
        return repr(number)
    what = "NaN" if math.isnan(number) else "infinity in an array or a record"
    raise Unsupported(f"The BigQuery emulator behind this service cannot store {what}")


def text_literal(text: str) -> str:
    """A STRING literal."""
    return "'" + text.translate(_ESCAPES) + "'"


_ESCAPES = str.maketrans(
    {chr(code): f"\\u{code:04x}" for code in (*range(0x20), 0x7F)}
    | {"\\": "\\\\", "'": "\\'", "\n": "\\n"}
)


def _bytes(content: bytes) -> str:
    return "b'" + "".join(f"\\x{byte:02x}" for byte in content) + "'"


def _datetime(moment: datetime) -> str:
    return f"DATETIME '{moment.isoformat(sep=' ')}'"


def _timestamp(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}+00'"


def _numeric(number: Decimal) -> str:
    return f"NUMERIC '{number:f}'"


def _bignumeric(number: Decimal) -> str:
    return f"BIGNUMERIC '{number:f}'"


def _date(day: date) -> str:
    return f"DATE '{day.isoformat()}'"


def _time(moment: time) -> str:
    return f"TIME '{moment.isoformat()}'"


_SCALARS: Mapping[str, Render] = {
    "INTEGER": str,
    "FLOAT": _finite,
    "BOOLEAN": lambda value: "TRUE" if value else "FALSE",
    "STRING": text_literal,
    "BYTES": _bytes,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _bignumeric,
    "DATE": _date,
    "TIME": _time,
    "DATETIME": _datetime,
    "TIMESTAMP": _timestamp,
    "JSON": lambda text: f"JSON {text_literal(text)}",
    "GEOGRAPHY": lambda text: f"ST_GEOGFROMTEXT({text_literal(text)})",
}
