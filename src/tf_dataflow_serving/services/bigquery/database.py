"""bqemulator put together, and the `Warehouse` that its database is to our jobs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import JobMeta
from bqemulator.config import PersistenceMode, Settings
from bqemulator.domain.clock import SystemClock
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

from tf_dataflow_serving.services.bigquery import engine
from tf_dataflow_serving.services.bigquery.schema import Field, Schema, arrow_schema
from tf_dataflow_serving.services.bigquery.warehouse import TableRef


@asynccontextmanager
async def open_database(
    project: str, scratch: Path, data_dir: Path | None
) -> AsyncIterator["Database"]:
    """Start bqemulator's subsystems, without its servers.

    Files go to `scratch`, and tables to `data_dir`; without it they are in memory only.
    """
    engine.check_version()
    context = await _context(_settings(project, scratch, data_dir), scratch)
    try:
        yield Database(context)
    finally:
        clear_subscriptions_for_context(context)
        await context.engine.stop()


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
    context.udf_registry.hydrate(catalog, database)
    hydrate_subscriptions(context)
    return context


def _catalog(settings: Settings, database: engine.Engine) -> Any:
    if settings.persistence_mode is PersistenceMode.EPHEMERAL:
        catalog = MemoryCatalogRepository(database)
    else:
        catalog = DuckDBCatalogRepository(database)
        catalog.ensure_ready()
    engine.make_stable(catalog)
    return catalog


@dataclass(frozen=True)
class Database:
    """The `Warehouse` in bqemulator's DuckDB, and the jobs in its catalog.

    To be called in the event loop's thread only, as bqemulator writes in no other.
    """

    context: AppContext

    @property
    def upload_sessions(self) -> UploadSessionManager:
        """The uploads that have begun."""
        return self.context.upload_sessions

    def has_dataset(self, project: str, dataset: str) -> bool:
        """Whether a dataset exists."""
        return self.context.catalog.get_dataset(project, dataset) is not None

    def schema(self, table: TableRef) -> Schema | None:
        """The schema of a table; None if there is no such table."""
        meta = self._meta(table)
        return None if meta is None else tuple(_field(field) for field in meta.schema_.fields)

    def generation(self, table: TableRef) -> str:
        """When the table was made."""
        meta = self._meta(table)
        return "" if meta is None else str(meta.creation_time.isoformat())

    def layout(self, table: TableRef) -> Mapping[str, Any]:
        """`timePartitioning` and `clustering` of a table, in REST form."""
        meta = self._meta(table)
        return {} if meta is None else engine.table_layout(meta)

    def count(self, table: TableRef) -> int:
        """The number of rows of a table."""
        rows = self.context.engine.execute(f"SELECT count(*) FROM {_quoted(table)}")  # noqa: S608
        return int(rows.fetchone()[0])

    def read(self, table: TableRef) -> pa.Table:
        """All rows of a table, in columns of the types of `arrow_schema`."""
        schema = self.schema(table) or ()
        columns = ", ".join(_selected(field) for field in schema)
        rows = self.context.engine.fetch_arrow(f"SELECT {columns} FROM {_quoted(table)}")  # noqa: S608
        return rows.cast(arrow_schema(schema))

    def create(self, table: TableRef, schema: Schema, layout: Mapping[str, Any]) -> None:
        """Make an empty table."""
        fields = [field.to_rest() for field in schema]
        resource = {"tableReference": table.to_rest(), "schema": {"fields": fields}, **layout}
        meta = engine.table_meta(self.context, table.project, table.dataset, resource)
        columns = engine.column_definitions(meta)
        self.context.engine.execute(f"CREATE TABLE {_quoted(table)} ({columns})")
        self.context.catalog.create_table(meta)

    def append(self, table: TableRef, rows: pa.Table) -> None:
        """Add rows; columns that `rows` lacks become null."""
        self._insert(table, rows)
        self._changed(table)

    def replace(self, table: TableRef, rows: pa.Table) -> None:
        """Put rows in the place of all that are there."""
        run = self.context.engine.execute
        run("BEGIN TRANSACTION")
        try:
            run(f"DELETE FROM {_quoted(table)}")  # noqa: S608
            self._insert(table, rows)
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")
        self._changed(table)

    def drop(self, table: TableRef) -> None:
        """Delete a table."""
        self.context.engine.execute(f"DROP TABLE {_quoted(table)}")
        self.context.catalog.delete_table(table.project, table.dataset, table.table)

    def has_job(self, project: str, job: str) -> bool:
        """Whether there is, or was lately, a job of this id."""
        return self.context.catalog.get_job(project, job) is not None

    def record_job(self, job: JobMeta) -> None:
        """Keep a job, so that it can be asked for."""
        self.context.catalog.upsert_job(job)

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

    def _meta(self, table: TableRef) -> Any:
        return self.context.catalog.get_table(table.project, table.dataset, table.table)

    def _insert(self, table: TableRef, rows: pa.Table) -> None:
        connection = self.context.engine.connection
        known = {field.name: field for field in self.schema(table) or ()}
        view = f"rows_{uuid4().hex}"
        names = ", ".join(_identifier(name) for name in rows.column_names)
        values = ", ".join(_inserted(known[name]) for name in rows.column_names)
        insert = f"INSERT INTO {_quoted(table)} ({names}) SELECT {values} FROM {view}"  # noqa: S608
        connection.register(view, rows)
        try:
            connection.execute(insert)
        finally:
            connection.unregister(view)

    def _changed(self, table: TableRef) -> None:
        self.context.snapshots.record_change(table.project, table.dataset, table.table)


def _field(field: Any) -> Field:
    children = tuple(_field(child) for child in field.fields)
    read = Field.from_rest({"name": field.name, "type": field.type, "mode": field.mode})
    return replace(read, fields=children)


def _quoted(table: TableRef) -> str:
    quoted: str = quoted_table_ref(table.project, table.dataset, table.table)
    return quoted


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _selected(field: Field) -> str:
    name = _identifier(field.name)
    return f"ST_AsText({name}) AS {name}" if field.type == "GEOGRAPHY" else name


def _inserted(field: Field) -> str:
    name = _identifier(field.name)
    return f"ST_GeomFromText({name})" if field.type == "GEOGRAPHY" else name
