"""The columns of a table as DuckDB declares them."""

from collections.abc import Iterable, Mapping
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import Unsupported
from tf_dataflow_serving.services.bigquery.types.bignumeric import DUCKDB_TYPE
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, schema_from_rest

DUCKDB_TYPES: Mapping[str, str] = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": DUCKDB_TYPE,
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMPTZ",
    "JSON": "JSON",
    "GEOGRAPHY": "GEOMETRY",
    "INTERVAL": "INTERVAL",
}


def duckdb_columns(fields: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The names and DuckDB types of the columns of a schema in REST form; raises Unsupported.

    bqemulator does not quote the names in records, so that `by` or `Order` cannot be one.
    """
    resources = list(fields)
    elements = [resource.get("rangeElementType") or {} for resource in resources]
    return [
        (field.name, _in_mode(field, element))
        for field, element in zip(schema_from_rest(resources), elements, strict=True)
    ]


def duckdb_type(field: Field) -> str:
    """The DuckDB type of a field, with its mode; raises Unsupported."""
    return _in_mode(field, {})


def _in_mode(field: Field, element: Mapping[str, Any]) -> str:
    single = _single_type(field, element)
    return f"{single}[]" if field.mode is Mode.REPEATED else single


def _single_type(field: Field, element: Mapping[str, Any]) -> str:
    if field.type == "RECORD":
        children = (f"{identifier(child.name)} {duckdb_type(child)}" for child in field.fields)
        return f"STRUCT({', '.join(children)})"
    if field.type == "RANGE":
        bound = DUCKDB_TYPES.get(str(element.get("type")), "DATE")
        return f'STRUCT("start" {bound}, "end" {bound})'
    try:
        return DUCKDB_TYPES[field.type]
    except KeyError:
        message = f"Columns of type {field.type} are not supported"
        raise Unsupported(message, field.name) from None


def column_changes(known: Field | None, field: Field) -> list[str]:
    """What ALTER TABLE is to do so that a column becomes `field`; it may get more fields only."""
    name = identifier(field.name)
    if known is None:
        return [f"ADD COLUMN {name} {duckdb_type(field)}"]
    changes = []
    if duckdb_type(known) != duckdb_type(field):
        changes.append(f"ALTER COLUMN {name} TYPE {duckdb_type(field)}")
    if known.mode is Mode.REQUIRED and field.mode is Mode.NULLABLE:
        # One that was made by SQL is NOT NULL in the database too.
        changes.append(f"ALTER COLUMN {name} DROP NOT NULL")
    return changes


def identifier(name: str) -> str:
    """A name in quotes."""
    return '"' + name.replace('"', '""') + '"'
