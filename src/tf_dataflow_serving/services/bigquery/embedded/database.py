"""bqemulator put together, and the `Warehouse` that its database is to our jobs."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa
from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import JobMeta
from bqemulator.config import PersistenceMode, Settings
from bqemulator.domain.clock import SystemClock
from bqemulator.domain.errors import DomainError
from bqemulator.domain.events import EventBus
from bqemulator.jobs.upload_session_manager import UploadSessionManager
from bqemulator.observability.metrics import MetricsRegistry
from bqemulator.row_access.policy import RowAccessPolicyManager
from bqemulator.storage.sql_identifiers import quoted_table_ref
from bqemulator.udf.runtime import UDFRegistry
from bqemulator.versioning.materialized_views import (
    clear_subscriptions_for_context,
    hydrate_subscriptions,
)

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.bigquery.embedded import engine
from tf_dataflow_serving.services.bigquery.embedded.engine_statements import (
    run_statements_atomically,
)
from tf_dataflow_serving.services.bigquery.embedded.engine_types import mend_types
from tf_dataflow_serving.services.bigquery.embedded.filtering import failures_told, filtered
from tf_dataflow_serving.services.bigquery.errors import InvalidData, NotFound, Unsupported
from tf_dataflow_serving.services.bigquery.types.bignumeric import to_stored
from tf_dataflow_serving.services.bigquery.types.columns import (
    column_changes,
    duckdb_type,
    identifier,
)
from tf_dataflow_serving.services.bigquery.types.schema import Field, Schema, arrow_schema
from tf_dataflow_serving.services.bigquery.warehouse import TableRef


@asynccontextmanager
async def open_database(
    project: str, scratch: Path, data_dir: Path | None
) -> AsyncIterator["Database"]:
    """Start bqemulator's subsystems, without its servers.

    Files go to `scratch`, and tables to `data_dir`; without it they are in memory only. Raises
    UserError if there is something else in that directory, or another process uses it.
    """
    engine.check_version()
    settings = _settings(project, scratch, data_dir)
    with _telling_of(data_dir):
        context = await _context(settings, scratch)
    try:
        yield Database(context)
    finally:
        clear_subscriptions_for_context(context)
        await context.engine.stop()


@contextmanager
def _telling_of(data_dir: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error, DomainError) as error:
        if data_dir is None:
            raise
        reason = "another process is using it" if engine.is_in_use(error) else _first_line(error)
        raise UserError(f"The data directory {data_dir} cannot be used: {reason}") from error


def _first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0]


def _settings(project: str, scratch: Path, data_dir: Path | None) -> Settings:
    return Settings(
        default_project_id=project,
        persistence_mode=PersistenceMode.PERSISTENT if data_dir else PersistenceMode.EPHEMERAL,
        data_dir=data_dir,
        upload_staging_dir=scratch / "uploads",
        enable_format_extensions=False,
        tracing_enabled=False,
        otlp_endpoint=None,
        metrics_enabled=False,
        admin_enabled=False,
    )


async def _context(settings: Settings, scratch: Path) -> AppContext:
    """What `bqemulator.server.EmulatorServer.start` makes, with the parts of `engine`."""
    mend_types()
    clock, events = SystemClock(), EventBus()
    database = engine.Engine(settings, scratch)
    await database.start()
    catalog = _catalog(settings, database)
    context = AppContext(
        settings=settings,
        clock=clock,
        engine=database,
        catalog=catalog,
        metrics=MetricsRegistry(),
        events=events,
        udf_registry=UDFRegistry(settings),
        snapshots=engine.ChangeEvents(
            database, catalog, clock, events, retention_days=settings.time_travel_retention_days
        ),
        row_access=RowAccessPolicyManager(catalog=catalog, clock=clock),
        upload_sessions=UploadSessionManager(
            staging_dir=settings.upload_staging_dir,
            max_bytes=settings.upload_max_bytes,
            ttl_seconds=settings.upload_session_ttl_seconds,
            clock=clock,
        ),
    )
    run_statements_atomically()
    context.udf_registry.hydrate(catalog, database)
    hydrate_subscriptions(context)
    return context


def _catalog(settings: Settings, database: engine.Engine) -> Any:
    if settings.persistence_mode is PersistenceMode.EPHEMERAL:
        catalog = MemoryCatalogRepository(database)
    else:
        catalog = engine.StoredCatalog(database)
        catalog.ensure_ready()
    engine.make_stable(catalog, database.transactions)
    return catalog


@dataclass(frozen=True)
class Database:
    """The `Warehouse` in bqemulator's DuckDB, and the jobs in its catalog.

    To be called in the event loop's thread only, as bqemulator writes in no other.
    """

    context: AppContext
    job: JobMeta | None = None

    @property
    def upload_sessions(self) -> UploadSessionManager:
        """The uploads that have begun."""
        return self.context.upload_sessions

    def recording(self, job: JobMeta) -> "Database":
        """The same database, of which every transaction also records that a job is done.

        A client that was not answered asks for its job: it must find it exactly if its rows are
        there.
        """
        return replace(self, job=job)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are kept together, or none if it raises; it must await nothing."""
        with self._changes():
            yield
            if self.job is not None:
                self.record_job(self.job)

    def _changes(self) -> AbstractContextManager[None]:
        changes: AbstractContextManager[None] = self.context.engine.transactions.transaction()
        return changes

    def has_dataset(self, project: str, dataset: str) -> bool:
        """Whether a dataset exists."""
        return self.context.catalog.get_dataset(project, dataset) is not None

    def schema(self, table: TableRef) -> Schema | None:
        """The schema of a table; None if there is no such table."""
        meta = self._meta(table)
        if meta is None:
            result = self._result_of(table)
            return None if result is None else result[0]
        return tuple(_field(field) for field in meta.schema_.fields)

    def generation(self, table: TableRef) -> str:
        """When the table was made."""
        meta = self._meta(table)
        return "" if meta is None else str(meta.creation_time.isoformat())

    def layout(self, table: TableRef) -> Mapping[str, Any]:
        """`timePartitioning`, `rangePartitioning` and `clustering` of a table, in REST form."""
        meta = self._meta(table)
        return {} if meta is None else engine.table_layout(meta)

    def count(self, table: TableRef) -> int:
        """The number of rows of a table."""
        rows = self.context.engine.execute(f"SELECT count(*) FROM {_quoted(table)}")  # noqa: S608
        return int(rows.fetchone()[0])

    def read(self, table: TableRef) -> pa.Table:
        """All rows of a table, in columns of the types of `arrow_schema`."""
        return self._fetched(self.schema(table) or (), _quoted(table))

    def select(self, table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
        """These columns of the rows that satisfy a condition; may be called in any thread."""
        fields = tuple(field for field in self.schema(table) or () if field.name in columns)
        if self._meta(table) is None:
            return self._selected_result(table, fields, restriction)
        if not restriction and not self.context.catalog.list_all_row_access_policies():
            return self._fetched(fields, _quoted(table))
        statement = filtered(self.context, table, restriction)
        with failures_told():
            return self._fetched(fields, f"({statement})")

    def create(self, table: TableRef, schema: Schema, layout: Mapping[str, Any]) -> None:
        """Make an empty table."""
        fields = [field.to_rest() for field in schema]
        resource = {"tableReference": table.to_rest(), "schema": {"fields": fields}, **layout}
        meta = engine.table_meta(self.context, table.project, table.dataset, resource)
        columns = engine.column_definitions(meta)
        with self._changes():
            self.context.engine.execute(f"CREATE TABLE {_quoted(table)} ({columns})")
            self.context.catalog.create_table(meta)

    def update_schema(self, table: TableRef, schema: Schema) -> None:
        """Add fields to a table, in records too, or relax REQUIRED ones; its rows stay."""
        known = {field.name: field for field in self.schema(table) or ()}
        changes = [
            change for field in schema for change in column_changes(known.get(field.name), field)
        ]
        fields = [field.to_rest() for field in schema]
        with self._changes():
            for change in changes:
                self.context.engine.execute(f"ALTER TABLE {_quoted(table)} {change}")
            engine.set_schema(self.context, self._meta(table), fields)

    def append(self, table: TableRef, rows: pa.Table) -> None:
        """Add rows; columns that `rows` lacks become null."""
        with self._changes():
            self._insert(table, rows)
            self._changed(table)

    def replace(self, table: TableRef, rows: pa.Table) -> None:
        """Put rows in the place of all that are there."""
        with self._changes():
            self.context.engine.execute(f"DELETE FROM {_quoted(table)}")  # noqa: S608
            self._insert(table, rows)
            self._changed(table)

    def drop(self, table: TableRef) -> None:
        """Delete a table."""
        with self._changes():
            self.context.engine.execute(f"DROP TABLE {_quoted(table)}")
            self.context.catalog.delete_table(table.project, table.dataset, table.table)

    def has_job(self, project: str, job: str) -> bool:
        """Whether there is, or was lately, a job of this id."""
        return self.context.catalog.get_job(project, job) is not None

    def is_result_taken(self, job: str) -> bool:
        """Whether results of a job, of any project, are kept where this id's would go."""
        return engine.is_result_taken(job)

    def record_job(self, job: JobMeta) -> None:
        """Keep a job, so that it can be asked for."""
        self.context.catalog.upsert_job(job)

    def unsettled_jobs(self) -> AbstractContextManager[None]:
        """Jobs that are recorded inside are forgotten if the service dies before they are again."""
        return engine.unsettled_jobs()

    def recording_amended(self, project: str, job: str, changes: Mapping[str, Any]) -> "Database":
        """The database that records a job as `amend_job` would make it."""
        known = self.context.catalog.get_job(project, job)
        return self if known is None else self.recording(known.model_copy(update=dict(changes)))

    def amend_job(self, project: str, job: str, changes: Mapping[str, Any]) -> None:
        """Change what the catalog tells of a job: `configuration`, `error_result`, ..."""
        known = self.context.catalog.get_job(project, job)
        if known is not None:
            self.context.catalog.upsert_job(known.model_copy(update=dict(changes)))

    def query_result(self, job: str) -> tuple[Schema, pa.Table] | None:
        """The schema and the rows that a query job gave, if they are still kept."""
        result = engine.result_of(job)
        if result is None:
            return None
        rows, fields = result
        schema = tuple(Field.from_rest(field) for field in fields)
        return schema, rows.rename_columns([field.name for field in schema])

    def forget_results(self) -> None:
        """Free what is kept of old jobs, as far as the bound demands."""
        engine.forget_results(self.context)

    def _fetched(self, schema: Schema, source: str) -> pa.Table:
        columns = ", ".join(identifier(field.name) for field in schema)
        rows = self.context.engine.fetch_arrow(f"SELECT {columns} FROM {source}")  # noqa: S608
        return rows.cast(arrow_schema(schema))

    def _result_of(self, table: TableRef) -> tuple[Schema, pa.Table] | None:
        """The rows that a query left in the anonymous table that is its destination."""
        job = engine.job_of_anonymous(table.dataset, table.table)
        return self.query_result(job) if job else None

    def _selected_result(self, table: TableRef, fields: Schema, restriction: str) -> pa.Table:
        result = self._result_of(table)
        if result is None:
            raise NotFound(f"Not found: Table {table}")
        if restriction:
            raise Unsupported("The result of a query can be read only as a whole: row_restriction")
        return result[1].select([field.name for field in fields]).cast(arrow_schema(fields))

    def _meta(self, table: TableRef) -> Any:
        return self.context.catalog.get_table(table.project, table.dataset, table.table)

    def _insert(self, table: TableRef, rows: pa.Table) -> None:
        connection = self.context.engine.connection
        known = {field.name: field for field in self.schema(table) or ()}
        view = f"rows_{uuid4().hex}"
        names = ", ".join(identifier(name) for name in rows.column_names)
        values = ", ".join(_inserted(known[name]) for name in rows.column_names)
        insert = f"INSERT INTO {_quoted(table)} ({names}) SELECT {values} FROM {view}"  # noqa: S608
        stored = [to_stored(column) for column in rows.columns]
        connection.register(view, pa.table(stored, names=rows.column_names))
        try:
            connection.execute(insert)
        except duckdb.InvalidInputException as error:
            raise InvalidData(f"Invalid geography value: {_first_line(error)}") from error
        finally:
            connection.unregister(view)

    def _changed(self, table: TableRef) -> None:
        self.context.snapshots.record_change(table.project, table.dataset, table.table)


def _field(field: Any) -> Field:
    children = tuple(_field(child) for child in field.fields)
    read = Field.from_rest({"name": field.name, "type": field.type, "mode": field.mode})
    return replace(
        read,
        fields=children,
        description=field.description,
        max_length=field.max_length,
        precision=field.precision,
        scale=field.scale,
    )


def _quoted(table: TableRef) -> str:
    quoted: str = quoted_table_ref(table.project, table.dataset, table.table)
    return quoted


def _inserted(field: Field) -> str:
    """A column of text as it is stored: DuckDB makes shapes of WKT, in lists and records too."""
    name = identifier(field.name)
    return f"CAST({name} AS {duckdb_type(field)})" if _has_shapes(field) else name


def _has_shapes(field: Field) -> bool:
    return field.type == "GEOGRAPHY" or any(map(_has_shapes, field.fields))
