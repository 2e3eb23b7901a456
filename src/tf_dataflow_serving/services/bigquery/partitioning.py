"""Partitions of tables, as their decorators name them: `table$20240131`.

Sources: "Managing partitioned tables", partition decorators
(https://cloud.google.com/bigquery/docs/managing-partitioned-tables); RangePartitioning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.tables import TableRef

_NULLS = "__NULL__"
_FORMATS: Mapping[str, str] = {
    "HOUR": "%Y%m%d%H",
    "DAY": "%Y%m%d",
    "MONTH": "%Y%m",
    "YEAR": "%Y",
}
_LENGTHS: Mapping[str, int] = {"HOUR": 10, "DAY": 8, "MONTH": 6, "YEAR": 4}


@dataclass(frozen=True)
class Partition:
    """The rows whose `field` is at least `start` and below `end`; without a start, is null.

    Without an end there is no upper bound.
    """

    id: str
    field: str
    start: int | datetime | None = None
    end: int | datetime | None = None

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Which rows are in it."""
        column = rows.column(self.field)
        if self.start is None:
            return pc.is_null(column)
        inside = pc.greater_equal(column, _bound(self.start, column.type))
        if self.end is not None:
            inside = pc.and_(inside, pc.less(column, _bound(self.end, column.type)))
        return pc.fill_null(inside, fill_value=False)

    def inside(self, rows: pa.Table) -> pa.Table:
        """The rows that are in it."""
        return rows.filter(self.mask(rows))

    def outside(self, rows: pa.Table) -> pa.Table:
        """The rows that are not."""
        return rows.filter(pc.invert(self.mask(rows)))

    def check(self, rows: pa.Table) -> None:
        """Raise InvalidRequest unless all rows are in it."""
        if self.field not in rows.column_names or not pc.all(self.mask(rows)).as_py():
            if not rows.num_rows:
                return
            message = "Some rows belong to different partitions rather than destination partition"
            raise InvalidRequest(f"{message} {self.id}")


def _bound(value: int | datetime, declared: pa.DataType) -> pa.Scalar:
    """A bound as a value of the column: a date, a moment with or without a time zone."""
    if isinstance(value, datetime) and pa.types.is_date(declared):
        return pa.scalar(value.date(), declared)
    if isinstance(value, datetime) and declared.tz is None:
        return pa.scalar(value.replace(tzinfo=None), declared)
    return pa.scalar(value, declared)


def parse_partition(table: TableRef, layout: Mapping[str, Any]) -> Partition | None:
    """The partition that a decorator names in a table of this layout (REST form)."""
    if not table.partition:
        return None
    by_range = layout.get("rangePartitioning")
    if by_range:
        return _range_partition(table.partition, by_range)
    by_time = layout.get("timePartitioning") or {}
    if not by_time.get("field"):
        # Nothing would remember the partition of a row.
        message = "Partition decorators need a table that is partitioned by one of its columns"
        raise Unsupported(f"{message}; partitions by ingestion time are not kept: {table}")
    return _time_partition(table.partition, str(by_time.get("type") or "DAY"), by_time["field"])


def _range_partition(decorator: str, by_range: Mapping[str, Any]) -> Partition:
    if decorator == _NULLS:
        return Partition(decorator, by_range["field"])
    try:
        start = int(decorator)
    except ValueError as error:
        raise InvalidRequest(f"Invalid partition id: {decorator}") from error
    bounds = by_range["range"]
    if (start - int(bounds["start"])) % int(bounds["interval"]):
        raise InvalidRequest(f"Invalid partition id: {decorator}")
    end = min(start + int(bounds["interval"]), int(bounds["end"]))
    return Partition(decorator, by_range["field"], start, end)


def _time_partition(decorator: str, kind: str, field: str) -> Partition:
    if decorator == _NULLS:
        return Partition(decorator, field)
    try:
        if len(decorator) != _LENGTHS[kind]:
            raise ValueError(decorator)
        start = datetime.strptime(decorator, _FORMATS[kind]).replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidRequest(f"Invalid {kind} partition id: {decorator}") from error
    return Partition(decorator, field, start, _end(start, kind))


def _end(start: datetime, kind: str) -> datetime | None:
    try:
        return _next(start, kind)
    except (OverflowError, ValueError):
        # The year 10000.
        return None


def _next(start: datetime, kind: str) -> datetime:
    if kind == "YEAR":
        return start.replace(year=start.year + 1)
    if kind == "MONTH":
        return (start + timedelta(days=31)).replace(day=1)
    return start + (timedelta(hours=1) if kind == "HOUR" else timedelta(days=1))
