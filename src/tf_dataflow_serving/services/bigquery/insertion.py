"""Streaming inserts: tabledata.insertAll.

Source: https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll, and
"Streaming data", error handling: without skipInvalidRows one bad row stops all the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_dataflow_serving.services.bigquery.deduplication import InsertIdWindow
from tf_dataflow_serving.services.bigquery.errors import (
    InvalidData,
    InvalidRequest,
    MissingField,
    NotFound,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.types.schema import Schema
from tf_dataflow_serving.services.bigquery.types.values import (
    RecordConverter,
    UnknownFields,
    record_converter,
)
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow
from tf_dataflow_serving.services.bigquery.warehouse import TableRef, Warehouse, find_partition

InsertError = dict[str, Any]


@dataclass(frozen=True)
class SentRow:
    """One row of a request; `insert_id` is empty if it was sent without."""

    insert_id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class InsertRequest:
    """The body of an insertAll request."""

    rows: Sequence[SentRow]
    unknown: UnknownFields
    skip_invalid: bool

    @classmethod
    def from_rest(cls, body: Mapping[str, Any]) -> "InsertRequest":
        """Raises InvalidRequest for rows that are no objects, Unsupported for template tables."""
        if body.get("templateSuffix"):
            raise Unsupported("Template tables (templateSuffix) are not supported")
        ignore = bool(body.get("ignoreUnknownValues"))
        return cls(
            rows=[_sent_row(row) for row in body.get("rows") or ()],
            unknown=UnknownFields.IGNORE if ignore else UnknownFields.REJECT,
            skip_invalid=bool(body.get("skipInvalidRows")),
        )


def _sent_row(row: Any) -> SentRow:
    if not isinstance(row, Mapping) or not isinstance(row.get("json"), Mapping):
        raise InvalidRequest("Every row must have its values in `json`")
    return SentRow(str(row.get("insertId") or ""), row["json"])


@dataclass(frozen=True)
class Inserter:
    """Inserts rows, each insertId once a window."""

    warehouse: Warehouse
    window: InsertIdWindow

    def insert(self, table: TableRef, request: InsertRequest) -> list[InsertError]:
        """Insert the rows that fit; returns an InsertErrors entry for each that was not inserted.

        Raises NotFound if there is no such table, InvalidRequest for an empty request.
        """
        schema = self.warehouse.schema(table.base)
        if schema is None:
            raise NotFound(f"Not found: Table {table}")
        if not request.rows:
            raise InvalidRequest("No rows present in the request.")
        convert = record_converter(schema, request.unknown)
        converted, errors = _converted(request.rows, convert)
        if errors and not request.skip_invalid:
            return _with_stopped(errors, len(request.rows))
        self._append(table, schema, converted)
        return errors

    def _append(
        self, table: TableRef, schema: Schema, rows: Sequence[tuple[str, dict[str, Any]]]
    ) -> None:
        generation = self.warehouse.generation(table.base)
        fresh: dict[Any, dict[str, Any]] = {}
        for position, (insert_id, values) in enumerate(rows):
            key = (table, generation, insert_id) if insert_id else position
            if key not in self.window:
                fresh.setdefault(key, values)
        if fresh:
            sent = rows_to_arrow(list(fresh.values()), schema)
            partition = find_partition(self.warehouse, table)
            if partition is not None:
                partition.check(sent)
            self.warehouse.append(table.base, sent)
        self.window.remember(key for key in fresh if not isinstance(key, int))


def _converted(
    rows: Sequence[SentRow], convert: RecordConverter
) -> tuple[list[tuple[str, dict[str, Any]]], list[InsertError]]:
    good: list[tuple[str, dict[str, Any]]] = []
    errors: list[InsertError] = []
    for index, row in enumerate(rows):
        try:
            good.append((row.insert_id, convert(row.values)))
        except MissingField as error:
            errors.append(_insert_error(index, "invalid", _missing(error.location), ""))
        except InvalidData as error:
            errors.append(_insert_error(index, "invalid", error.message, error.location))
    return good, errors


def _missing(field: str) -> str:
    """BigQuery names the message that it makes of a row, and no location."""
    return f"Missing required field: Msg_0_CLOUD_QUERY_TABLE.{field}."


def _with_stopped(errors: list[InsertError], total: int) -> list[InsertError]:
    bad = {error["index"]: error for error in errors}
    return [bad.get(index) or _insert_error(index, "stopped", "", "") for index in range(total)]


def _insert_error(index: int, reason: str, message: str, location: str) -> InsertError:
    detail = {"reason": reason, "location": location, "debugInfo": "", "message": message}
    return {"index": index, "errors": [detail]}
