"""Cells of REST answers: as the other emulator writes them, and as BigQuery does.

The emulator writes a TIMESTAMP as microseconds or seconds in a column, and as text in a record
or an array. Sources: its internal/types/types.go, `Format`; "jobs.getQueryResults",
formatOptions (https://cloud.google.com/bigquery/docs/reference/rest/v2/DataFormatOptions).
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema, schema_from_rest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Convert = Callable[[Any], Any]
Cells = Mapping[str, Any]


class TimestampForm(StrEnum):
    """How a client wants TIMESTAMP cells (formatOptions.useInt64Timestamp)."""

    MICROSECONDS = "MICROSECONDS"
    SECONDS = "SECONDS"


def record_decoder(schema: Schema) -> Callable[[Cells], dict[str, Any]]:
    """Return a function from a row's cells, {"f": [{"v": ...}]}, to its Python form."""
    decoders = [(field.name, _decoder(field)) for field in schema]

    def decode(row: Cells) -> dict[str, Any]:
        pairs = zip(decoders, row["f"], strict=True)
        return {name: convert(cell["v"]) for (name, convert), cell in pairs}

    return decode


def record_encoder(schema: Schema, timestamps: TimestampForm) -> Callable[[Cells], Cells]:
    """Return a function from a record in Python form to the cells that BigQuery answers with."""
    encoders = [(field.name, _encoder(field, timestamps)) for field in schema]

    def encode(record: Mapping[str, Any]) -> Cells:
        return {"f": [{"v": convert(record[name])} for name, convert in encoders]}

    return encode


def rest_rows(rows: pa.Table, schema: Schema, timestamps: TimestampForm) -> list[Cells]:
    """The rows of a table of the types of `arrow_schema`, as BigQuery answers with them."""
    encode = record_encoder(schema, timestamps)
    return [encode(record) for record in rows.to_pylist()]


def rewritten(
    response: Mapping[str, Any], timestamps: TimestampForm, schema: Schema | None = None
) -> dict[str, Any]:
    """The emulator's answer to a query or tabledata.list, with cells as BigQuery writes them.

    `schema` is needed where the answer has none, as that of tabledata.list.
    """
    rows = response.get("rows")
    if not rows:
        return dict(response)
    known = schema if schema is not None else schema_from_rest(response["schema"]["fields"])
    decode, encode = record_decoder(known), record_encoder(known, timestamps)
    return {**response, "rows": [encode(decode(row)) for row in rows]}


def decoded(rows: Iterable[Cells], schema: Schema) -> Sequence[dict[str, Any]]:
    """The rows of an answer in Python form."""
    decode = record_decoder(schema)
    return [decode(row) for row in rows]


def _decoder(field: Field) -> Convert:
    single = record_decoder(field.fields) if field.type == "RECORD" else _scalar(field, _DECODERS)
    if field.mode is Mode.REPEATED:
        return lambda cells: [single(cell["v"]) for cell in cells or ()]
    return _unless_null(single)


def _encoder(field: Field, timestamps: TimestampForm) -> Convert:
    single = _single_encoder(field, timestamps)
    if field.mode is Mode.REPEATED:
        return lambda values: [{"v": single(value)} for value in values or ()]
    return _unless_null(single)


def _single_encoder(field: Field, timestamps: TimestampForm) -> Convert:
    if field.type == "RECORD":
        return record_encoder(field.fields, timestamps)
    if field.type == "TIMESTAMP":
        return _TIMESTAMP_ENCODERS[timestamps]
    return _scalar(field, _ENCODERS)


def _scalar(field: Field, converters: Mapping[str, Convert]) -> Convert:
    try:
        return converters[field.type]
    except KeyError:
        message = f"Values of type {field.type} are not supported"
        raise Unsupported(message, field.name) from None


def _unless_null(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _timestamp_from(cell: str) -> datetime:
    if ":" in cell:
        return datetime.fromisoformat(cell).astimezone(UTC)
    microseconds = int(Decimal(cell).scaleb(6)) if "." in cell else int(cell)
    return _EPOCH + timedelta(microseconds=microseconds)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _in_microseconds(moment: datetime) -> str:
    return str(_microseconds(moment))


def _in_seconds(moment: datetime) -> str:
    return f"{Decimal(_microseconds(moment)).scaleb(-6):f}"


def _plain_decimal(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float_text(number: float) -> str:
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(number), str(number))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _isoformat(moment: date | time) -> str:
    return moment.isoformat()


_TIMESTAMP_ENCODERS: Mapping[TimestampForm, Convert] = {
    TimestampForm.MICROSECONDS: _in_microseconds,
    TimestampForm.SECONDS: _in_seconds,
}
_DECODERS: Mapping[str, Convert] = {
    "INTEGER": int,
    "FLOAT": float,
    "BOOLEAN": lambda cell: cell == "true",
    "STRING": str,
    "BYTES": base64.b64decode,
    "NUMERIC": Decimal,
    "BIGNUMERIC": Decimal,
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "DATETIME": datetime.fromisoformat,
    "TIMESTAMP": _timestamp_from,
    "JSON": str,
    "GEOGRAPHY": str,
    # What no column of ours holds is shown as it comes.
    "INTERVAL": str,
    "RANGE": str,
}
_ENCODERS: Mapping[str, Convert] = {
    "INTEGER": str,
    "FLOAT": _float_text,
    "BOOLEAN": lambda value: "true" if value else "false",
    "STRING": str,
    "BYTES": _base64,
    "NUMERIC": _plain_decimal,
    "BIGNUMERIC": _plain_decimal,
    "DATE": _isoformat,
    "TIME": _isoformat,
    "DATETIME": _isoformat,
    "JSON": str,
    "GEOGRAPHY": str,
    "INTERVAL": str,
    "RANGE": str,
}
