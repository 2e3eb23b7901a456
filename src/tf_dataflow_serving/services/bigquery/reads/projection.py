"""Which columns, and which fields of records, a reader asked for.

Source: ReadSession.TableReadOptions.selected_fields: the fields keep the order of the table;
a record that is named gives all of its fields.
"""

from collections.abc import Iterable
from dataclasses import replace

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.types.schema import Schema


def projected(schema: Schema, paths: Iterable[str]) -> Schema:
    """The part of `schema` that the paths (`a`, `a.b`) name; all of it if there are none.

    Raises InvalidRequest for a path that leads nowhere.
    """
    split = [tuple(path.split(".")) for path in paths]
    return _selected(schema, split, "") if split else schema


def _selected(schema: Schema, paths: list[tuple[str, ...]], parent: str) -> Schema:
    wanted: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        wanted.setdefault(path[0].lower(), []).append(path[1:])
    _check_known(schema, paths, parent)
    chosen = (field for field in schema if field.name.lower() in wanted)
    return tuple(
        field
        if () in wanted[field.name.lower()]
        else replace(
            field,
            fields=_selected(field.fields, wanted[field.name.lower()], f"{parent}{field.name}."),
        )
        for field in chosen
    )


def _check_known(schema: Schema, paths: list[tuple[str, ...]], parent: str) -> None:
    known = {field.name.lower() for field in schema}
    for path in paths:
        if path[0].lower() not in known:
            name = f"{parent}{'.'.join(path)}"
            message = "request failed: The following selected fields do not exist in the table"
            raise InvalidRequest(f"{message} schema: {name}", name)
