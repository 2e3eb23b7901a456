"""What load, extract, query and streaming jobs need of the database, and how rows enter a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import AlreadyExists, InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.schema import Schema, arrow_schema


@dataclass(frozen=True)
class TableRef:
    """project.dataset.table."""

    project: str
    dataset: str
    table: str

    @classmethod
    def from_rest(cls, resource: Any, project: str) -> Self:
        """Read a TableReference, whose project may be left out; raises InvalidRequest."""
        try:
            dataset, table = str(resource["datasetId"]), str(resource["tableId"])
            return cls(str(resource.get("projectId") or project), dataset, table)
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidRequest("Required parameter is missing: table reference") from error

    def to_rest(self) -> dict[str, str]:
        """Write a TableReference."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"


class Warehouse(Protocol):
    """Tables and their rows. Every call is atomic: nothing else happens meanwhile."""

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
        """`timePartitioning` and `clustering` of a table, in REST form."""
        ...

    def count(self, table: TableRef) -> int:
        """The number of rows of a table."""
        ...

    def read(self, table: TableRef) -> pa.Table:
        """All rows of a table, in columns of the types of `arrow_schema`."""
        ...

    def create(self, table: TableRef, schema: Schema, layout: Mapping[str, Any]) -> None:
        """Make an empty table; `layout` holds `timePartitioning` and `clustering`, in REST form."""
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


@dataclass(frozen=True)
class Target:
    """Where a job writes, and on what terms."""

    table: TableRef
    write: Write
    create: Create = Create.IF_NEEDED
    layout: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_rest(cls, configuration: Mapping[str, Any], project: str, default: Write) -> Self:
        """Read what load and query configurations have in common; raises InvalidRequest."""
        table = TableRef.from_rest(configuration.get("destinationTable"), project)
        layout = {
            name: configuration[name]
            for name in ("timePartitioning", "clustering")
            if configuration.get(name)
        }
        try:
            write = Write(configuration.get("writeDisposition") or default)
            create = Create(configuration.get("createDisposition") or Create.IF_NEEDED)
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        return cls(table, write, create, layout)


def check_target(warehouse: Warehouse, target: Target) -> None:
    """Raise NotFound or AlreadyExists if a job may not write to its target."""
    table = target.table
    if not warehouse.has_dataset(table.project, table.dataset):
        raise NotFound(f"Not found: Dataset {table.project}:{table.dataset}")
    exists = warehouse.schema(table) is not None
    if target.create is Create.NEVER and not exists:
        raise NotFound(f"Not found: Table {table}")
    if target.write is Write.EMPTY and exists and warehouse.count(table):
        raise AlreadyExists(f"Already Exists: Table {table}")


def store(warehouse: Warehouse, target: Target, schema: Schema, rows: pa.Table) -> None:
    """Write rows, which have the given schema, to their target.

    Raises NotFound, AlreadyExists, or InvalidRequest if they do not fit the table that is there.
    """
    check_target(warehouse, target)
    existing = warehouse.schema(target.table)
    if existing is not None and _is_made_anew(target, existing, schema):
        warehouse.drop(target.table)
        existing = None
    if existing is None:
        warehouse.create(target.table, schema, target.layout)
        warehouse.append(target.table, rows)
    elif target.write is Write.TRUNCATE:
        warehouse.replace(target.table, rows)
    else:
        warehouse.append(target.table, _fitted(target.table, existing, rows))


def _is_made_anew(target: Target, existing: Schema, schema: Schema) -> bool:
    """Whether a table gets another schema; one that was made without any takes the first."""
    if not existing:
        return True
    return target.write is Write.TRUNCATE and arrow_schema(existing) != arrow_schema(schema)


def _fitted(table: TableRef, existing: Schema, rows: pa.Table) -> pa.Table:
    known = arrow_schema(existing)
    for name in rows.schema.names:
        if name not in known.names:
            message = f"Provided Schema does not match Table {table}. Cannot add fields"
            raise InvalidRequest(f"{message} (field: {name})", name)
    wanted = pa.schema([known.field(name) for name in rows.schema.names])
    try:
        return rows.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = f"Provided Schema does not match Table {table}. A field has changed type"
        raise InvalidRequest(f"{message}: {error}") from error
