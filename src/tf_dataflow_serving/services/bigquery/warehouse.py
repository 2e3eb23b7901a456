"""What load, extract, query and streaming jobs need of the database, and how rows enter a table."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import AlreadyExists, InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.partitioning import Partition, parse_partition
from tf_dataflow_serving.services.bigquery.schema_updates import (
    NO_UPDATES,
    SchemaUpdates,
    fitted,
    merged,
    schema_updates,
)
from tf_dataflow_serving.services.bigquery.tables import TableRef as TableRef  # noqa: PLC0414 - its users look here
from tf_dataflow_serving.services.bigquery.types.schema import Schema, without_descriptions


class Warehouse(Protocol):
    """Tables and their rows. Every call is atomic: nothing else happens meanwhile."""

    def transaction(self) -> AbstractContextManager[None]:
        """All changes inside are kept together, or none if it raises; it must await nothing."""
        ...

    def has_dataset(self, project: str, dataset: str) -> bool:
        """Whether a dataset exists."""
        ...

    def schema(self, table: TableRef) -> Schema | None:
        """The schema of a table; None if there is no such table."""
        ...

    def generation(self, table: TableRef) -> str:
        """A token that a table of the same name, made later, does not share."""
        ...

    def layout(self, table: TableRef) -> Mapping[str, Any]:
        """`timePartitioning`, `rangePartitioning` and `clustering` of a table, in REST form."""
        ...

    def count(self, table: TableRef) -> int:
        """The number of rows of a table."""
        ...

    def read(self, table: TableRef) -> pa.Table:
        """All rows of a table, in columns of the types of `arrow_schema`."""
        ...

    def select(self, table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
        """These columns of the rows that satisfy a condition, of the types of `arrow_schema`.

        The condition is BigQuery's SQL, already checked; "" means every row. Unlike the other
        methods, this one and `schema` are called in any thread. Raises InvalidQuery.
        """
        ...

    def create(self, table: TableRef, schema: Schema, layout: Mapping[str, Any]) -> None:
        """Make an empty table; `layout` is what the method of that name returns."""
        ...

    def update_schema(self, table: TableRef, schema: Schema) -> None:
        """Add fields to a table, in records too, or relax REQUIRED ones; its rows stay."""
        ...

    def append(self, table: TableRef, rows: pa.Table) -> None:
        """Add rows; columns that `rows` lacks become null."""
        ...

    def replace(self, table: TableRef, rows: pa.Table) -> None:
        """Put rows in the place of all that are there."""
        ...

    def drop(self, table: TableRef) -> None:
        """Delete a table."""
        ...


class Write(StrEnum):
    """What a job does with the rows that are there (writeDisposition)."""

    APPEND = "WRITE_APPEND"
    TRUNCATE = "WRITE_TRUNCATE"
    EMPTY = "WRITE_EMPTY"


class Create(StrEnum):
    """What a job does without a table (createDisposition)."""

    IF_NEEDED = "CREATE_IF_NEEDED"
    NEVER = "CREATE_NEVER"


_LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")


@dataclass(frozen=True)
class Target:
    """Where a job writes, and on what terms."""

    table: TableRef
    write: Write
    create: Create = Create.IF_NEEDED
    layout: Mapping[str, Any] = field(default_factory=dict)
    updates: SchemaUpdates = NO_UPDATES

    @property
    def replaces_table(self) -> bool:
        """Whether all that is in the table goes, its schema too."""
        return self.write is Write.TRUNCATE and not self.table.partition

    @classmethod
    def from_rest(cls, configuration: Mapping[str, Any], project: str, default: Write) -> Self:
        """Read what load and query configurations have in common; raises InvalidRequest."""
        table = TableRef.from_rest(configuration.get("destinationTable"), project)
        layout = {name: configuration[name] for name in _LAYOUT if configuration.get(name)}
        try:
            write = Write(configuration.get("writeDisposition") or default)
            create = Create(configuration.get("createDisposition") or Create.IF_NEEDED)
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        return cls(table, write, create, layout, schema_updates(configuration))


def check_target(warehouse: Warehouse, target: Target) -> None:
    """Raise NotFound or AlreadyExists if a job may not write to its target."""
    table = target.table
    if not warehouse.has_dataset(table.project, table.dataset):
        raise NotFound(f"Not found: Dataset {table.project}:{table.dataset}")
    exists = warehouse.schema(table.base) is not None
    if target.create is Create.NEVER and not exists:
        raise NotFound(f"Not found: Table {table}")
    if target.write is Write.EMPTY and exists and count_rows(warehouse, table):
        raise AlreadyExists(f"Already Exists: Table {table}")


def read_rows(warehouse: Warehouse, table: TableRef) -> pa.Table:
    """All rows of a table, or those of the partition that its decorator names."""
    rows = warehouse.read(table.base)
    partition = find_partition(warehouse, table)
    return rows if partition is None else partition.inside(rows)


def find_partition(warehouse: Warehouse, table: TableRef) -> Partition | None:
    """The partition that the decorator of a table names; None without one.

    The table must exist. Raises InvalidRequest for a partition that it cannot have.
    """
    return parse_partition(table, warehouse.layout(table.base)) if table.partition else None


def count_rows(warehouse: Warehouse, table: TableRef) -> int:
    """The number of rows of a table, or of the partition that its decorator names."""
    if table.partition:
        return int(read_rows(warehouse, table).num_rows)
    return warehouse.count(table)


def store(warehouse: Warehouse, target: Target, schema: Schema, rows: pa.Table) -> None:
    """Write rows, which have the given schema, to their target.

    Raises NotFound, AlreadyExists, or InvalidRequest if they do not fit the table that is there.
    """
    with warehouse.transaction():
        _store(warehouse, target, schema, rows)


def _store(warehouse: Warehouse, target: Target, schema: Schema, rows: pa.Table) -> None:
    check_target(warehouse, target)
    table = target.table.base
    existing = warehouse.schema(table)
    layout = _layout(warehouse, target, existing)
    partition = parse_partition(target.table, layout)
    if partition is not None:
        partition.check(rows)
    if existing is not None and _is_made_anew(target, existing, schema):
        warehouse.drop(table)
        existing = None
    if existing is None:
        warehouse.create(table, schema, layout)
        warehouse.append(table, fitted(rows, schema))
    else:
        updated = existing
        if not target.replaces_table:
            updated = merged(table, existing, schema, target.updates)
        if updated != existing:
            warehouse.update_schema(table, updated)
        _write(warehouse, target, partition, fitted(rows, updated))


def _write(
    warehouse: Warehouse, target: Target, partition: Partition | None, rows: pa.Table
) -> None:
    """Write rows that have the schema of the table."""
    table = target.table.base
    if target.write is not Write.TRUNCATE:
        warehouse.append(table, rows)
    elif partition is None:
        warehouse.replace(table, rows)
    else:
        kept = partition.outside(warehouse.read(table))
        warehouse.replace(table, pa.concat_tables([kept, rows]))


def _is_made_anew(target: Target, existing: Schema, schema: Schema) -> bool:
    """Whether a table gets another schema; one that was made without any takes the first."""
    if not existing:
        return True
    return target.replaces_table and (
        without_descriptions(existing) != without_descriptions(schema)
    )


def _layout(warehouse: Warehouse, target: Target, existing: Schema | None) -> Mapping[str, Any]:
    """The layout of the table; raises InvalidRequest for a job that wants another."""
    if existing is None:
        return target.layout
    known = warehouse.layout(target.table.base)
    for name in ("timePartitioning", "rangePartitioning"):
        wanted = target.layout.get(name)
        if wanted and _partitions(wanted) != _partitions(known.get(name)):
            message = "Incompatible table partitioning specification"
            raise InvalidRequest(f"{message} when writing to table {target.table.base}")
    return {**target.layout, **known}


def _partitions(specification: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """What of a partitioning tells which partition a row is in."""
    by = specification or {}
    bounds = by.get("range") or {}
    limits = tuple(str(bounds.get(name)) for name in ("start", "end", "interval"))
    return (by.get("type"), by.get("field"), limits)
