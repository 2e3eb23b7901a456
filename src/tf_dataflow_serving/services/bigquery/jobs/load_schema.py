"""The schema by which a load job reads its files.

Source: "Modifying table schemas", and the schema and autodetect fields of JobConfigurationLoad
(https://cloud.google.com/bigquery/docs/managing-table-schemas).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.schema_updates import SchemaUpdate, SchemaUpdates, merged
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema, schema_from_rest
from tf_dataflow_serving.services.bigquery.warehouse import Target

_SELF_DESCRIBING = ("AVRO", "PARQUET")


def load_schema(
    load: Mapping[str, Any], target: Target, known: Schema, detect: Callable[[], Schema]
) -> Schema | None:
    """The job's own schema, or the one that `detect` finds, reconciled with the table's.

    `known` is the schema that the table keeps, empty for one that is replaced or not there.
    None if neither the job nor the table has one. Raises InvalidRequest for one that does not
    fit the table.
    """
    declared = schema_from_rest((load.get("schema") or {}).get("fields") or ())
    if declared:
        return _reconciled(target, declared, known) if known else declared
    tells_itself = str(load.get("sourceFormat") or "CSV").upper() in _SELF_DESCRIBING
    if not known:
        return detect() if tells_itself or load.get("autodetect") else None
    may_add = load.get("autodetect") and SchemaUpdate.ADD in target.updates
    if tells_itself or may_add:
        return _as_known(detect(), known) if may_add or not _ignores(load) else known
    return known


def _ignores(load: Mapping[str, Any]) -> bool:
    return bool(load.get("ignoreUnknownValues"))


def _reconciled(target: Target, declared: Schema, known: Schema) -> Schema:
    """The declared fields in their order, those of CSV columns, as they are in the table."""
    _check_modes(target, declared, known, "")
    after = {f.name.lower(): f for f in merged(target.table.base, known, declared, target.updates)}
    return tuple(after[field.name.lower()] for field in declared)


def _check_modes(target: Target, declared: Schema, known: Schema, path: str) -> None:
    """Raise InvalidRequest for a REQUIRED field that is declared as another, or the reverse."""
    by_name = {field.name.lower(): field for field in known}
    for field in declared:
        there = by_name.get(field.name.lower())
        if there is None:
            continue
        if not _may_become(there.mode, field.mode, target.updates):
            change = f"has changed mode from {there.mode} to {field.mode}"
            message = f"Provided Schema does not match Table {target.table.base}."
            raise InvalidRequest(f"{message} Field {path}{field.name} {change}", field.name)
        _check_modes(target, field.fields, there.fields, f"{path}{field.name}.")


def _may_become(known: Mode, declared: Mode, allowed: SchemaUpdates) -> bool:
    if known is Mode.REQUIRED and declared is Mode.NULLABLE:
        return SchemaUpdate.RELAX in allowed
    return known is declared


def _as_known(found: Schema, known: Schema) -> Schema:
    """The fields of a file, with the table's types and modes where it has them."""
    by_name = {field.name.lower(): field for field in known}
    in_file = tuple(_field_as_known(field, by_name.get(field.name.lower())) for field in found)
    names = {field.name.lower() for field in found}
    return (*in_file, *(field for field in known if field.name.lower() not in names))


def _field_as_known(found: Field, known: Field | None) -> Field:
    if known is None:
        # A file's own fields are REQUIRED if it has no nulls; the table's older rows have.
        return replace(found, mode=_nullable(found.mode))
    if known.type == found.type == "RECORD":
        return replace(known, fields=_as_known(found.fields, known.fields))
    return known


def _nullable(mode: Mode) -> Mode:
    return Mode.NULLABLE if mode is Mode.REQUIRED else mode
