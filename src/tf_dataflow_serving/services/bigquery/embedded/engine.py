"""The one module that reaches into bqemulator, and says for each reach why.

Written for bqemulator 1.4. Its public construction points are used where there are any: the
engine, the snapshot manager and the gRPC handlers are subclasses that are passed in. What is
replaced in place is listed in `REPLACED`; a test fails when one of these names goes.
"""

import functools
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_spatial  # type: ignore[import-untyped]
import pyarrow as pa
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs as jobs_route
from bqemulator.api.routes import tables as tables_route
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.models import JobMeta, TableMeta
from bqemulator.catalog.repository import CatalogRepository
from bqemulator.config import Settings
from bqemulator.domain.events import TableDataChanged
from bqemulator.jobs import executor
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.types import geography
from bqemulator.versioning.snapshots import SnapshotManager

from tf_dataflow_serving.services.bigquery.embedded.result_columns import typed_columns
from tf_dataflow_serving.services.bigquery.embedded.transactions import Transactions
from tf_dataflow_serving.services.bigquery.retention import expendable
from tf_dataflow_serving.services.bigquery.types.bignumeric import to_stored
from tf_dataflow_serving.services.bigquery.types.bignumeric_functions import register_functions
from tf_dataflow_serving.services.bigquery.types.columns import duckdb_columns, identifier

SUPPORTED_VERSION = "1.4"
REPLACED = (
    (jobs_route, "execute_load_job"),
    (jobs_route, "execute_extract_job"),
    (jobs_route, "execute_copy_job"),
)
ANONYMOUS_DATASET = "_bqemu_anonymous"
_LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")
_ANONYMOUS_TABLE = re.compile(r'"[^"]*___bqemu_anonymous"\."(anon[^"]+)"')
JobRunner = Callable[[str, str, dict[str, Any], AppContext], Awaitable[JobMeta]]

RESULT_BYTES = 256 * 1024 * 1024
# All are looked at after every query.
RESULTS_KEPT = 1_000
JOBS_KEPT = 5_000


def check_version() -> None:
    """Raise RuntimeError if the installed bqemulator is not the one this was written for."""
    installed = version("bqemulator")
    if not installed.startswith(f"{SUPPORTED_VERSION}."):
        raise RuntimeError(f"bqemulator {SUPPORTED_VERSION} is needed, {installed} is installed")


def is_in_use(error: Exception) -> bool:
    """Whether a database could not be opened because another process has it."""
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


class Engine(DuckDBEngine):  # type: ignore[misc] # bqemulator is not followed
    """The DuckDB database, with a connection of its own for every thread.

    bqemulator shares one connection between the event loop, the thread pool of its REST routes
    and that of its gRPC handlers; two results at once then mix or wait for each other for good.
    """

    def __init__(self, settings: Settings, scratch: Path) -> None:
        super().__init__(settings)
        self._scratch = scratch
        self._thread = threading.get_ident()
        self._cursors = threading.local()
        self.transactions = Transactions(lambda: self.connection)

    @property
    def connection(self) -> Any:
        """The connection of the calling thread.

        The thread that made the engine has the first: functions that are registered through a
        cursor end with it, and a query that calls one then crashes the process.
        """
        first = super().connection
        if threading.get_ident() == self._thread:
            return first
        if not hasattr(self._cursors, "cursor"):
            self._cursors.cursor = first.cursor()
        return self._cursors.cursor

    @asynccontextmanager
    async def write_lock(self) -> AsyncIterator[None]:
        """Keep a table and what the catalog says of it together.

        bqemulator commits each statement, so that a kill between two parts them for good. No
        body under this lock awaits anything.
        """
        with self.transactions.transaction():
            yield

    def fetch_arrow(self, sql: str, parameters: list[Any] | None = None) -> pa.Table:
        """Run a query; it may read the result of an earlier one by its destination.

        bqemulator names an anonymous table as the destination of every query, but has no such
        table, so that reading a result through the Storage API fails.
        """
        results = {table: _anonymous_result(table) for table in _ANONYMOUS_TABLE.findall(sql)}
        known = {table: rows for table, rows in results.items() if rows is not None}
        for table, rows in known.items():
            stored = [to_stored(column) for column in rows.columns]
            self.connection.register(table, pa.table(stored, names=rows.column_names))
        local_sql = _ANONYMOUS_TABLE.sub(r'"\1"', sql) if known else sql
        try:
            result = self.execute(local_sql, parameters)
            declared = [column[1] for column in result.description]
            return typed_columns(result.to_arrow_table(), declared)
        finally:
            for table in known:
                self.connection.unregister(table)

    def _apply_session_pragmas(self) -> None:
        # GLOBAL, or it would not hold for the cursors. DuckDB must neither fetch extensions
        # from the internet nor write below the working or home directory.
        for name, value in (
            ("TimeZone", "UTC"),
            # Or an unknown table would be looked for among the variables of this program.
            ("python_enable_replacements", "false"),
            ("autoinstall_known_extensions", "false"),
            ("temp_directory", str(self._scratch / "spill")),
            ("home_directory", str(self._scratch)),
            ("extension_directory", str(self._scratch / "extensions")),
        ):
            self.connection.execute(f"SET GLOBAL {name} = '{_quoted(value)}'")

    def _load_spatial(self) -> None:
        _load_spatial(self.connection)
        # Conversions of GEOGRAPHY values have a database of their own, which would otherwise
        # install the extension from the internet.
        geography._CONV_CONN = _load_spatial(duckdb.connect(":memory:"))

    def _register_builtin_udfs(self) -> None:
        super()._register_builtin_udfs()
        register_functions(self.connection)
        # The last step of the start: from here on SQL reads and writes no file.
        self.connection.execute("SET GLOBAL enable_external_access = false")


def _anonymous_result(table: str) -> pa.Table | None:
    return executor.JOB_RESULTS.get(_job_of(table))


def _job_of(table: str) -> str:
    jobs: list[str] = list(dict(executor.JOB_RESULTS))
    return {_anonymous_table(job): job for job in jobs}.get(table, "")


def _anonymous_table(job: str) -> str:
    return f"anon{job.replace('-', '')}"


def is_result_taken(job: str) -> bool:
    """Whether results are kept where those of a new job of this id would go.

    bqemulator keeps them by the id alone, of all projects, and drops its dashes to read them.
    """
    return bool(_job_of(_anonymous_table(job)))


def job_of_anonymous(dataset: str, table: str) -> str:
    """The id of the query job whose destination this is; "" if it is none, or forgotten."""
    return _job_of(table) if dataset == ANONYMOUS_DATASET else ""


def _load_spatial(connection: Any) -> Any:
    package = Path(duckdb_extension_spatial.__file__).parent
    extension = next(package.rglob("spatial.duckdb_extension"))
    connection.execute(f"LOAD '{_quoted(str(extension))}'")
    return connection


def _quoted(text: str) -> str:
    return text.replace("'", "''")


class ChangeEvents(SnapshotManager):  # type: ignore[misc] # bqemulator is not followed
    """Publishes changes of tables without copying them.

    bqemulator copies the whole table at every write, for time travel, and keeps the copies for
    a week: a thousand inserts of one row each are a thousand tables.
    """

    def record_change(self, project_id: str, dataset_id: str, table_id: str) -> None:
        """Tell materialized views that a table has changed."""
        self._events.publish(TableDataChanged(project_id, dataset_id, table_id))


_unsettled: ContextVar[bool] = ContextVar("unsettled", default=False)


class StoredCatalog(DuckDBCatalogRepository):  # type: ignore[misc] # bqemulator is not followed
    """The catalog on disk, which outlives a kill: a job must not be there before its effect."""

    def _write_job(self, job: JobMeta) -> None:
        if not _unsettled.get():
            super()._write_job(job)


@contextmanager
def unsettled_jobs() -> Iterator[None]:
    """Keep the jobs that this task records in memory only; they are to be recorded again."""
    token = _unsettled.set(True)
    try:
        yield
    finally:
        _unsettled.reset(token)


class _StableDict(dict[Any, Any]):
    """A dict that may change while it is iterated: other threads list what this one adds to."""

    def items(self) -> Any:
        return self.copy().items()

    def values(self) -> Any:
        return self.copy().values()


def make_stable(catalog: CatalogRepository, transactions: Transactions) -> None:
    """Let a catalog be listed by one thread while another adds to it, each change in one piece.

    bqemulator changes its copy in memory first, and the table on disk by several statements.
    """
    memory = _memory_of(catalog)
    for name, value in vars(memory).items():
        if isinstance(value, dict):
            stable = _StableDict(value)
            setattr(memory, name, stable)
            transactions.mirror(stable)
    for name in _changes_of(catalog):
        setattr(catalog, name, _in_transaction(getattr(catalog, name), transactions))


def _changes_of(catalog: CatalogRepository) -> list[str]:
    verbs = ("create_", "update_", "upsert_", "delete_")
    return [name for name in dir(catalog) if name.startswith(verbs)]


def _in_transaction(change: Callable[..., Any], transactions: Transactions) -> Callable[..., Any]:
    @functools.wraps(change)
    def changed(*arguments: Any, **named: Any) -> Any:
        with transactions.transaction():
            return change(*arguments, **named)

    return changed


def _memory_of(catalog: CatalogRepository) -> Any:
    """The catalog in memory, which the one on disk keeps as its cache."""
    return getattr(catalog, "_cache", catalog)


def forget_results(context: AppContext) -> None:
    """Bound what is kept of past jobs: bqemulator frees it only when a job is deleted."""
    sizes = [(job, table.nbytes) for job, table in dict(executor.JOB_RESULTS).items()]
    too_many = [job for job, _ in sizes[:-RESULTS_KEPT]]
    for job in (*too_many, *expendable(sizes[-RESULTS_KEPT:], RESULT_BYTES)):
        executor.JOB_RESULTS.pop(job, None)
        executor.JOB_SCHEMAS.pop(job, None)
    jobs = list(_memory_of(context.catalog)._jobs)
    for project, job in jobs[: max(len(jobs) - JOBS_KEPT, 0)]:
        context.catalog.delete_job(project, job)


def result_of(job_id: str) -> tuple[pa.Table, list[dict[str, Any]]] | None:
    """The rows of a query job and their schema in REST form, if they are still kept."""
    rows = executor.JOB_RESULTS.get(job_id)
    return None if rows is None else (rows, executor.JOB_SCHEMAS.get(job_id, []))


def table_meta(
    context: AppContext, project: str, dataset: str, resource: Mapping[str, Any]
) -> TableMeta:
    """A table's catalog entry from its REST form, as the REST route makes it."""
    return tables_route._rest_to_table_meta(project, dataset, dict(resource), context.clock)


def table_layout(meta: TableMeta) -> dict[str, Any]:
    """What a table's REST form says of its partitions and clusters."""
    resource = tables_route._table_to_rest(meta)
    return {key: resource[key] for key in _LAYOUT if key in resource}


def set_schema(context: AppContext, meta: TableMeta, fields: list[dict[str, Any]]) -> None:
    """Let the catalog tell another schema, in REST form, of a table."""
    schema = tables_route._rest_to_schema(fields, meta)
    changed = {"schema_": schema, "last_modified_time": context.clock.now()}
    context.catalog.update_table(meta.model_copy(update=changed))


def column_definitions(meta: TableMeta) -> str:
    """The columns of a table as DuckDB's CREATE TABLE wants them."""
    fields = [tables_route._field_to_rest(field) for field in meta.schema_.fields]
    columns = duckdb_columns(fields)
    return ", ".join(f"{identifier(name)} {declared}" for name, declared in columns)


def replace_job_runners(load: JobRunner, extract: JobRunner, copy: JobRunner) -> None:
    """Run load, extract and copy jobs by other functions than bqemulator's.

    Its own read gs:// below one local directory only, ignore unknown fields, CSV options and
    base64, leave the files before a bad one loaded, and copy the first of several tables.
    """
    for (module, name), runner in zip(REPLACED, (load, extract, copy), strict=True):
        setattr(module, name, runner)


# Snapshots, clones and restores are left to bqemulator.
run_table_operation: JobRunner = executor.execute_copy_job
