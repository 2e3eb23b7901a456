"""Avro schemas of load and extract jobs.

Source: "Loading Avro data" and "Exporting table data", Avro details
(https://cloud.google.com/bigquery/docs/exporting-data#avro_export_details).
"""

from collections.abc import Mapping
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidData, Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import (
    BIGNUMERIC_SCALE,
    NUMERIC_SCALE,
    Field,
    Mode,
    Schema,
)

AvroType = str | dict[str, Any] | list[Any]

_PLAIN: Mapping[str, str] = {
    "INTEGER": "long",
    "FLOAT": "double",
    "BOOLEAN": "boolean",
    "STRING": "string",
    "BYTES": "bytes",
}
_DECIMALS: Mapping[str, tuple[int, int]] = {
    "NUMERIC": (38, NUMERIC_SCALE),
    "BIGNUMERIC": (77, BIGNUMERIC_SCALE),
}
_ANNOTATED: Mapping[str, dict[str, str]] = {
    "JSON": {"type": "string", "sqlType": "JSON"},
    "GEOGRAPHY": {"type": "string", "sqlType": "GEOGRAPHY"},
}
# With useAvroLogicalTypes, and without: then everything but TIMESTAMP is text.
_LOGICAL: Mapping[str, dict[str, str]] = {
    **_ANNOTATED,
    "DATE": {"type": "int", "logicalType": "date"},
    "TIME": {"type": "long", "logicalType": "time-micros"},
    "TIMESTAMP": {"type": "long", "logicalType": "timestamp-micros"},
    "DATETIME": {"type": "string", "logicalType": "datetime"},
}
_ILLOGICAL: Mapping[str, dict[str, str]] = {
    **_ANNOTATED,
    "DATE": {"type": "string", "sqlType": "DATE"},
    "TIME": {"type": "string", "sqlType": "TIME"},
    "TIMESTAMP": {"type": "long", "logicalType": "timestamp-micros"},
    "DATETIME": {"type": "string", "sqlType": "DATETIME"},
}


def avro_schema(schema: Schema, *, logical_types: bool) -> dict[str, Any]:
    """The Avro schema in which a table is exported."""
    return _record("Root", schema, _LOGICAL if logical_types else _ILLOGICAL)


def _record(name: str, schema: Schema, temporal: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    fields = [
        {"name": field.name, "type": _mode_type(f"{name}_{field.name}", field, temporal)}
        for field in schema
    ]
    return {"type": "record", "name": name, "fields": fields}


def _mode_type(path: str, field: Field, temporal: Mapping[str, dict[str, str]]) -> AvroType:
    single = _single_type(path, field, temporal)
    if field.mode is Mode.REPEATED:
        return {"type": "array", "items": single}
    return single if field.mode is Mode.REQUIRED else ["null", single]


def _single_type(path: str, field: Field, temporal: Mapping[str, dict[str, str]]) -> AvroType:
    if field.type == "RECORD":
        # Avro wants every record's name once in a file: the path of the field is unique.
        return _record(path, field.fields, temporal)
    if field.type in _DECIMALS:
        precision, scale = _DECIMALS[field.type]
        decimal = {"type": "bytes", "logicalType": "decimal"}
        return {**decimal, "precision": precision, "scale": scale}
    if field.type in temporal:
        return dict(temporal[field.type])
    try:
        return _PLAIN[field.type]
    except KeyError:
        raise Unsupported(f"Values of type {field.type} cannot be exported", field.name) from None


def schema_from_avro(writer_schema: Any) -> Schema:
    """The BigQuery schema that an Avro file's own schema gives, as a load job derives it."""
    if not isinstance(writer_schema, dict) or writer_schema.get("type") != "record":
        raise InvalidData("The root of an Avro schema must be a record.")
    return tuple(_field(field["name"], field["type"]) for field in writer_schema["fields"])


def _field(name: str, declared: Any) -> Field:
    if isinstance(declared, list):
        return _field_of_union(name, declared)
    if isinstance(declared, dict) and declared["type"] == "array":
        element = _field(name, declared["items"])
        return Field(name, element.type, Mode.REPEATED, element.fields)
    if isinstance(declared, dict) and declared["type"] == "record":
        return Field(name, "RECORD", Mode.REQUIRED, schema_from_avro(declared))
    return Field(name, _type_of(name, declared), Mode.REQUIRED)


def _field_of_union(name: str, members: list[Any]) -> Field:
    others = [member for member in members if member != "null"]
    if len(others) != 1:
        raise Unsupported("Avro unions of several types cannot be loaded", name)
    field = _field(name, others[0])
    mode = Mode.REPEATED if field.mode is Mode.REPEATED else Mode.NULLABLE
    return Field(name, field.type, mode, field.fields)


_LOADED: Mapping[str, str] = {
    "long": "INTEGER",
    "int": "INTEGER",
    "double": "FLOAT",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "string": "STRING",
    "enum": "STRING",
    "bytes": "BYTES",
    "fixed": "BYTES",
    "null": "STRING",
    "date": "DATE",
    "time-micros": "TIME",
    "time-millis": "TIME",
    "timestamp-micros": "TIMESTAMP",
    "timestamp-millis": "TIMESTAMP",
    "local-timestamp-micros": "DATETIME",
    "local-timestamp-millis": "DATETIME",
    "datetime": "DATETIME",
}


def _type_of(name: str, declared: Any) -> str:
    plain = declared["type"] if isinstance(declared, dict) else declared
    logical = declared.get("logicalType") if isinstance(declared, dict) else None
    if logical == "decimal":
        return "NUMERIC" if declared.get("scale", 0) <= NUMERIC_SCALE else "BIGNUMERIC"
    try:
        return _LOADED.get(str(logical)) or _LOADED[plain]
    except (KeyError, TypeError):
        raise Unsupported(f"Avro type {plain!r} cannot be loaded", name) from None
