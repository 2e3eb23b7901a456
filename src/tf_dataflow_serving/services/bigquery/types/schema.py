"""Table schemas: BigQuery's REST form, and the Arrow types that carry their values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, Unsupported

# The names of standard SQL, and the older ones that the REST API answers with.
_REST_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}

NUMERIC_SCALE = 9
# DuckDB's widest decimal has 38 digits, half of BigQuery's BIGNUMERIC.
BIGNUMERIC_SCALE = 38


class Mode(StrEnum):
    """How often a field occurs in a record."""

    NULLABLE = "NULLABLE"
    REQUIRED = "REQUIRED"
    REPEATED = "REPEATED"


_ARROW_TYPES: Mapping[str, pa.DataType] = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "NUMERIC": pa.decimal128(38, NUMERIC_SCALE),
    "BIGNUMERIC": pa.decimal256(76, BIGNUMERIC_SCALE),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "JSON": pa.string(),
    "GEOGRAPHY": pa.string(),
}


@dataclass(frozen=True)
class Field:
    """One column, or one field of a record; `type` is the REST name (INTEGER, RECORD, ...)."""

    name: str
    type: str
    mode: Mode = Mode.NULLABLE
    fields: tuple["Field", ...] = ()
    description: str | None = None
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None

    @classmethod
    def from_rest(cls, resource: Mapping[str, Any]) -> Self:
        """Read a TableFieldSchema; raises InvalidRequest."""
        try:
            name, declared = str(resource["name"]), str(resource["type"]).upper()
            mode = Mode(str(resource.get("mode") or "NULLABLE").upper())
        except (KeyError, ValueError) as error:
            raise InvalidRequest(f"Invalid field in schema: {dict(resource)!r}") from error
        children = tuple(cls.from_rest(child) for child in resource.get("fields") or ())
        kind = _REST_NAMES.get(declared, declared)
        lengths = (_whole(resource, key) for key in ("maxLength", "precision", "scale"))
        return cls(name, kind, mode, children, resource.get("description"), *lengths)

    def to_rest(self) -> dict[str, Any]:
        """Write a TableFieldSchema."""
        resource: dict[str, Any] = {"name": self.name, "type": self.type, "mode": self.mode.value}
        if self.fields:
            resource["fields"] = [child.to_rest() for child in self.fields]
        lengths = {"maxLength": self.max_length, "precision": self.precision, "scale": self.scale}
        given = {key: str(length) for key, length in lengths.items() if length is not None}
        return {**resource, **given, **({"description": d} if (d := self.description) else {})}


def _whole(resource: Mapping[str, Any], key: str) -> int | None:
    try:
        return int(resource[key]) if resource.get(key) is not None else None
    except ValueError as error:
        raise InvalidRequest(f"Invalid {key} in schema: {resource[key]!r}") from error


Schema = tuple[Field, ...]


def schema_from_rest(fields: Iterable[Mapping[str, Any]]) -> Schema:
    """Read the `fields` of a TableSchema; raises InvalidRequest."""
    return tuple(Field.from_rest(field) for field in fields)


def without_descriptions(schema: Schema) -> Schema:
    """The same fields, told of in no words; two are equal if they take the same values."""
    return tuple(
        replace(field, description=None, fields=without_descriptions(field.fields))
        for field in schema
    )


def relaxed(schema: Schema) -> Schema:
    """The same fields, none of them REQUIRED."""
    return tuple(
        replace(field, mode=_relaxed_mode(field.mode), fields=relaxed(field.fields))
        for field in schema
    )


def _relaxed_mode(mode: Mode) -> Mode:
    return Mode.NULLABLE if mode is Mode.REQUIRED else mode


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema whose columns hold the values of `schema` exactly.

    Raises Unsupported for a type that has no such column (INTERVAL, RANGE).
    """
    return pa.schema([pa.field(field.name, arrow_type(field)) for field in schema])


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type of one field, with its mode; raises Unsupported."""
    single = _single_type(field)
    return pa.list_(single) if field.mode is Mode.REPEATED else single


def _single_type(field: Field) -> pa.DataType:
    if field.type == "RECORD":
        return pa.struct([pa.field(child.name, arrow_type(child)) for child in field.fields])
    try:
        return _ARROW_TYPES[field.type]
    except KeyError:
        raise Unsupported(f"Values of type {field.type} cannot be written", field.name) from None


def schema_from_arrow(schema: pa.Schema) -> Schema:
    """The BigQuery schema that a Parquet file's columns give, as a load job derives it."""
    return tuple(_field_from_arrow(column.name, column.type) for column in schema)


def _field_from_arrow(name: str, declared: pa.DataType) -> Field:
    if pa.types.is_list(declared) or pa.types.is_large_list(declared):
        element = _field_from_arrow(name, declared.value_type)
        return Field(name, element.type, Mode.REPEATED, element.fields)
    if pa.types.is_struct(declared):
        children = tuple(_field_from_arrow(child.name, child.type) for child in declared)
        return Field(name, "RECORD", Mode.NULLABLE, children)
    return Field(name, _type_from_arrow(name, declared))


def _type_from_arrow(name: str, declared: pa.DataType) -> str:
    if pa.types.is_timestamp(declared):
        return "TIMESTAMP" if declared.tz else "DATETIME"
    if pa.types.is_decimal(declared):
        return "NUMERIC" if declared.scale <= NUMERIC_SCALE else "BIGNUMERIC"
    if pa.types.is_dictionary(declared):
        return _type_from_arrow(name, declared.value_type)
    for matches, type_name in _ARROW_FAMILIES:
        if matches(declared):
            return type_name
    raise Unsupported(f"Columns of type {declared} cannot be loaded", name)


_ARROW_FAMILIES = (
    (pa.types.is_integer, "INTEGER"),
    (pa.types.is_floating, "FLOAT"),
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_time, "TIME"),
    (pa.types.is_string, "STRING"),
    (pa.types.is_large_string, "STRING"),
    (pa.types.is_binary, "BYTES"),
    (pa.types.is_large_binary, "BYTES"),
    (pa.types.is_null, "STRING"),
)
