"""Checks and converts values to the Python form of their BigQuery type.

Sources: "Loading JSON data" and "Streaming inserts", data type details
(https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#details_of_loading_json_data).
Python forms: int, float, bool, str, bytes, Decimal, date, time, datetime (naive for DATETIME,
UTC for TIMESTAMP), dict for RECORD, list for REPEATED.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any

import orjson

from tf_dataflow_serving.services.bigquery.errors import (
    InvalidData,
    MissingField,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.types import bignumeric
from tf_dataflow_serving.services.bigquery.types.geography import canonical_text
from tf_dataflow_serving.services.bigquery.types.parameterized import bounded
from tf_dataflow_serving.services.bigquery.types.schema import (
    NUMERIC_SCALE,
    Field,
    Mode,
    Schema,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=100)

Converter = Callable[[Any], Any]
RecordConverter = Callable[[Mapping[str, Any]], dict[str, Any]]
Scalars = Mapping[str, Converter]


class UnknownFields(Enum):
    """What becomes of a value whose field the schema does not have."""

    REJECT = auto()
    IGNORE = auto()


def record_converter(
    schema: Schema, unknown: UnknownFields, path: str = "", scalars: Scalars | None = None
) -> RecordConverter:
    """Return a function from a record as it was sent to its Python form.

    Field names are matched without regard to case; absent fields become None, absent repeated
    ones []. `scalars` are the converters by type; by default those of values that are sent by
    themselves. The function raises InvalidData, which names the field.
    """
    converters = {field.name: field_converter(field, unknown, path, scalars) for field in schema}
    names = {field.name.lower(): field.name for field in schema}
    absent: dict[str, Any] = {
        field.name: [] if field.mode is Mode.REPEATED else None for field in schema
    }
    required = [field.name for field in schema if field.mode is Mode.REQUIRED]

    def convert(record: Mapping[str, Any]) -> dict[str, Any]:
        converted: dict[str, Any] = dict(absent)
        for sent, value in record.items():
            name = sent if sent in converters else names.get(sent.lower())
            if name is not None:
                converted[name] = converters[name](value)
            elif unknown is UnknownFields.REJECT:
                raise InvalidData(f"no such field: {path}{sent}.", f"{path}{sent}")
        for name in required:
            if converted[name] is None:
                raise MissingField(f"Missing required field: {path}{name}.", f"{path}{name}")
        return converted

    return convert


def field_converter(
    field: Field, unknown: UnknownFields, path: str = "", scalars: Scalars | None = None
) -> Converter:
    """Return a function from one value as it was sent to its Python form, None to None."""
    location = f"{path}{field.name}"
    single = _named(_single_converter(field, unknown, location, scalars), field, location)
    if field.mode is Mode.REPEATED:
        return _repeated(single, location)

    def convert(value: Any) -> Any:
        return None if value is None else single(value)

    return convert


def _named(convert: Converter, field: Field, location: str) -> Converter:
    def with_location(value: Any) -> Any:
        try:
            return convert(value)
        except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
            kind = field.type.lower()
            message = f"Cannot convert value to {kind} (bad value): {value!r}"
            raise InvalidData(message, location) from error

    return with_location


def _repeated(convert: Converter, location: str) -> Converter:
    def convert_all(values: Any) -> list[Any]:
        if values is None:
            return []
        if not isinstance(values, list | tuple):
            raise InvalidData(f"Repeated field is not an array: {location}.", location)
        if any(value is None for value in values):
            raise InvalidData(f"Only optional fields can be set to NULL: {location}.", location)
        return [convert(value) for value in values]

    return convert_all


def _single_converter(
    field: Field, unknown: UnknownFields, location: str, scalars: Scalars | None
) -> Converter:
    if field.type != "RECORD":
        try:
            return bounded((scalars or _SCALARS)[field.type], field)
        except KeyError:
            message = f"Values of type {field.type} cannot be written"
            raise Unsupported(message, location) from None
    convert = record_converter(field.fields, unknown, f"{location}.", scalars)

    def convert_record(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidData(f"This field: {location} is not a record.", location)
        return convert(value)

    return convert_record


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a boolean is no integer")
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError("not a whole number")
    if not -(2**63) <= number < 2**63:
        raise OverflowError("beyond 64 bits")
    return number


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("a boolean is no number")
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, str | int) else ""
    if word in ("true", "t", "yes", "y", "1"):
        return True
    if word in ("false", "f", "no", "n", "0"):
        return False
    raise ValueError("not a boolean")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal | date | time | datetime):
        return str(value)
    raise TypeError("not a string")


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError("not base64")
    try:
        return base64.b64decode(value.translate(_URL_SAFE_TO_STANDARD), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


_URL_SAFE_TO_STANDARD = str.maketrans("-_", "+/")


def _decimal_of(digits: int, scale: int) -> Converter:
    quantum = Decimal(1).scaleb(-scale)
    limit = Decimal(10) ** (digits - scale)

    def convert(value: Any) -> Decimal:
        if isinstance(value, bool):
            raise TypeError("a boolean is no number")
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
        if not number.is_finite():
            raise ValueError("not a number")
        rounded = number.quantize(quantum, ROUND_HALF_UP, _EXACT)
        if rounded.copy_abs() >= limit:
            raise OverflowError("out of range")
        return rounded

    return convert


def _bignumeric(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise TypeError("a boolean is no number")
    number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    return bignumeric.from_units(bignumeric.to_units(number))


def _trimmed(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value.strip()


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        raise TypeError("a date has no time")
    return value if isinstance(value, date) else date.fromisoformat(_trimmed(value))


def _time(value: Any) -> time:
    return value if isinstance(value, time) else time.fromisoformat(_trimmed(value))


def _datetime(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_trimmed(value))
    if moment.tzinfo is not None:
        raise ValueError("a DATETIME has no time zone")
    return moment


def _timestamp(value: Any) -> datetime:
    if isinstance(value, bool):
        raise TypeError("a boolean is no timestamp")
    if isinstance(value, int | float | Decimal):
        return _from_epoch_seconds(Decimal(str(value)))
    moment = value if isinstance(value, datetime) else _parsed_timestamp(_trimmed(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _parsed_timestamp(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return _from_epoch_seconds(Decimal(text))


def _from_epoch_seconds(seconds: Decimal) -> datetime:
    return _EPOCH + timedelta(microseconds=int((seconds * 1_000_000).to_integral_value()))


def _json(value: Any) -> str:
    """JSON columns are sent as JSON text; other values stand for themselves."""
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    orjson.loads(value)
    return value


def _geography(value: Any) -> str:
    return canonical_text(_trimmed(value))


def _raw_json(value: Any) -> str:
    return orjson.dumps(value).decode()


_SCALARS: Scalars = {
    "INTEGER": _integer,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "STRING": _string,
    "BYTES": _bytes,
    "NUMERIC": _decimal_of(38, NUMERIC_SCALE),
    "BIGNUMERIC": _bignumeric,
    "DATE": _date,
    "TIME": _time,
    "DATETIME": _datetime,
    "TIMESTAMP": _timestamp,
    "JSON": _json,
    "GEOGRAPHY": _geography,
}

OF_JSON_FILES: Scalars = {**_SCALARS, "JSON": _raw_json}
"""In JSON files a JSON column "is loaded with the raw JSON values": a string stays a string.

Source: "Loading JSON data", Limitations.
"""
