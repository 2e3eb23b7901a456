"""What rows that are added to a table may change of its schema.

Source: "Modifying table schemas", schemaUpdateOptions
(https://cloud.google.com/bigquery/docs/managing-table-schemas).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema, arrow_schema


class SchemaUpdate(StrEnum):
    """What a job may do to the schema of the table that it writes to."""

    ADD = "ALLOW_FIELD_ADDITION"
    RELAX = "ALLOW_FIELD_RELAXATION"


SchemaUpdates = frozenset[SchemaUpdate]
ALL_UPDATES: SchemaUpdates = frozenset(SchemaUpdate)
NO_UPDATES: SchemaUpdates = frozenset()

# Values of the second type are taken for the first without loss.
_WIDENED = {
    ("FLOAT", "INTEGER"),
    ("NUMERIC", "INTEGER"),
    ("BIGNUMERIC", "INTEGER"),
    ("BIGNUMERIC", "NUMERIC"),
    ("JSON", "STRING"),
    ("GEOGRAPHY", "STRING"),
}


def schema_updates(configuration: Mapping[str, Any]) -> SchemaUpdates:
    """Read a job's schemaUpdateOptions; raises InvalidRequest."""
    try:
        return frozenset(map(SchemaUpdate, configuration.get("schemaUpdateOptions") or ()))
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def merged(table: Any, existing: Schema, added: Schema, allowed: SchemaUpdates) -> Schema:
    """The schema of a table once rows of another schema are in it.

    Raises InvalidRequest, in BigQuery's words, for a change that is not `allowed` or never is.
    """
    try:
        return _merged(existing, added, allowed, "")
    except InvalidRequest as error:
        message = f"Provided Schema does not match Table {table}. {error.message}"
        raise InvalidRequest(message, error.location) from error


def _merged(existing: Schema, added: Schema, allowed: SchemaUpdates, path: str) -> Schema:
    given = {field.name.lower(): field for field in added}
    known = {field.name.lower() for field in existing}
    kept = [_kept(field, given.get(field.name.lower()), allowed, path) for field in existing]
    new = [_new(field, allowed, path) for field in added if field.name.lower() not in known]
    return (*kept, *new)


def _new(field: Field, allowed: SchemaUpdates, path: str) -> Field:
    name = f"{path}{field.name}"
    if SchemaUpdate.ADD not in allowed:
        raise InvalidRequest(f"Cannot add fields (field: {name})", name)
    if field.mode is Mode.REQUIRED:
        raise InvalidRequest(f"Cannot add required fields to an existing schema. (field: {name})")
    return field


def _kept(known: Field, given: Field | None, allowed: SchemaUpdates, path: str) -> Field:
    if given is None:
        return _relaxed(known, allowed)
    _check_same(known, given, f"{path}{known.name}")
    if known.type == "RECORD":
        children = _merged(known.fields, given.fields, allowed, f"{path}{known.name}.")
        known = replace(known, fields=children)
    return known if given.mode is Mode.REQUIRED else _relaxed(known, allowed)


def _relaxed(known: Field, allowed: SchemaUpdates) -> Field:
    if known.mode is Mode.REQUIRED and SchemaUpdate.RELAX in allowed:
        return replace(known, mode=Mode.NULLABLE)
    return known


def _check_same(known: Field, given: Field, name: str) -> None:
    if known.type != given.type and (known.type, given.type) not in _WIDENED:
        changed = f"Field {name} has changed type from {known.type} to {given.type}"
        raise InvalidRequest(changed, name)
    if (known.mode is Mode.REPEATED) != (given.mode is Mode.REPEATED):
        changed = f"Field {name} has changed mode from {known.mode} to {given.mode}"
        raise InvalidRequest(changed, name)


def fitted(rows: pa.Table, schema: Schema) -> pa.Table:
    """The rows with all columns of a schema that has all of theirs; new ones are null.

    Raises InvalidRequest for a null where the schema has none, and for what does not convert.
    """
    wanted = arrow_schema(schema)
    columns = {name.lower(): rows.column(name) for name in rows.column_names}
    try:
        arrays = [
            columns[field.name.lower()].cast(field.type)
            if field.name.lower() in columns
            else pa.chunked_array([_nothing(field.type, rows.num_rows)])
            for field in wanted
        ]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(f"A field has changed type: {error}") from error
    table = pa.Table.from_arrays(arrays, schema=wanted)
    check_required(table.columns, schema, "")
    return table


def _nothing(declared: pa.DataType, count: int) -> pa.Array:
    if pa.types.is_list(declared):
        return pa.array([[]] * count, declared)
    return pa.nulls(count, declared)


def check_required(columns: Iterable[Any], schema: Schema, path: str) -> None:
    """Raise InvalidRequest if there is a null in a REQUIRED field, in records too."""
    for column, field in zip(columns, schema, strict=True):
        name = f"{path}{field.name}"
        if field.mode is Mode.REQUIRED and column.null_count:
            raise InvalidRequest(f"Missing required field: {name}.", name)
        if field.type == "RECORD":
            _check_records(column, field, name)


def _check_records(column: Any, field: Field, name: str) -> None:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        records = chunk.flatten() if field.mode is Mode.REPEATED else chunk
        present = records.filter(records.is_valid())
        children = [present.field(index) for index in range(len(field.fields))]
        check_required(children, field.fields, f"{name}.")
