"""The one module that reaches into bqemulator, and says for each reach why.

Written for bqemulator 1.4. Its public construction points are used where there are any: the
engine, the snapshot manager and the gRPC handlers are subclasses that are passed in. What is
replaced in place is listed in `REPLACED`; a test fails when one of these names goes.
"""

import itertools
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_spatial  # type: ignore[import-untyped]
import grpc
import pyarrow as pa
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs as jobs_route
from bqemulator.api.routes import tables as tables_route
from bqemulator.catalog.models import JobMeta, TableMeta
from bqemulator.catalog.repository import CatalogRepository
from bqemulator.config import Settings
from bqemulator.domain.events import TableDataChanged
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler
from bqemulator.jobs import executor
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns
from bqemulator.streaming import read_session
from bqemulator.types import geography
from bqemulator.versioning.snapshots import SnapshotManager
from google.cloud.bigquery_storage_v1 import types as storage_types

from tf_dataflow_serving.services.bigquery.retention import expendable

SUPPORTED_VERSION = "1.4"
REPLACED = (
    (jobs_route, "execute_load_job"),
    (jobs_route, "execute_extract_job"),
    (jobs_route, "execute_copy_job"),
)
_ANONYMOUS_TABLE = re.compile(r'"[^"]*___bqemu_anonymous"\."(anon[^"]+)"')
JobRunner = Callable[[str, str, dict[str, Any], AppContext], Awaitable[JobMeta]]

RESULT_BYTES = 512 * 1024 * 1024
SESSION_BYTES = 512 * 1024 * 1024
JOBS_KEPT = 10_000


def check_version() -> None:
    """Raise RuntimeError if the installed bqemulator is not the one this was written for."""
    installed = version("bqemulator")
    if not installed.startswith(f"{SUPPORTED_VERSION}."):
        raise RuntimeError(f"bqemulator {SUPPORTED_VERSION} is needed, {installed} is installed")


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

    def fetch_arrow(self, sql: str, parameters: list[Any] | None = None) -> pa.Table:
        """Run a query; it may read the result of an earlier one by its destination.

        bqemulator names an anonymous table as the destination of every query, but has no such
        table, so that reading a result through the Storage API fails.
        """
        results = {table: _anonymous_result(table) for table in _ANONYMOUS_TABLE.findall(sql)}
        known = {table: rows for table, rows in results.items() if rows is not None}
        for table, rows in known.items():
            self.connection.register(table, rows)
        local_sql = _ANONYMOUS_TABLE.sub(r'"\1"', sql) if known else sql
        try:
            return super().fetch_arrow(local_sql, parameters)
        finally:
            for table in known:
                self.connection.unregister(table)

    def _apply_session_pragmas(self) -> None:
        # GLOBAL, or it would not hold for the cursors. DuckDB must neither fetch extensions
        # from the internet nor write below the working or home directory.
        for name, value in (
            ("TimeZone", "UTC"),
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
        # The last step of the start: from here on SQL reads and writes no file.
        self.connection.execute("SET GLOBAL enable_external_access = false")


def _anonymous_result(table: str) -> pa.Table | None:
    job_of = {f"anon{job.replace('-', '')}": job for job in dict(executor.JOB_RESULTS)}
    return executor.JOB_RESULTS.get(job_of.get(table, ""))


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


class _StableDict(dict[Any, Any]):
    """A dict that may change while it is iterated: other threads list what this one adds to."""

    def items(self) -> Any:
        return self.copy().items()

    def values(self) -> Any:
        return self.copy().values()


def make_stable(catalog: CatalogRepository) -> None:
    """Let a catalog be listed by one thread while another adds to it."""
    memory = _memory_of(catalog)
    for name, value in vars(memory).items():
        if isinstance(value, dict):
            setattr(memory, name, _StableDict(value))


def _memory_of(catalog: CatalogRepository) -> Any:
    """The catalog in memory, which the one on disk keeps as its cache."""
    return getattr(catalog, "_cache", catalog)


class ReadHandler(BigQueryReadHandler):  # type: ignore[misc] # bqemulator is not followed
    """The Storage Read API with bounded memory: bqemulator keeps every session for good."""

    def __init__(self, context: AppContext) -> None:
        super().__init__(context)
        self._clock = itertools.count()
        self._last_use: dict[str, int] = {}

    def _handle_create_read_session(
        self, request_bytes: bytes, context: grpc.ServicerContext
    ) -> bytes:
        response: bytes = super()._handle_create_read_session(request_bytes, context)
        self._touch(storage_types.ReadSession.deserialize(response).name)
        self._forget_sessions()
        return response

    def _handle_read_rows(self, request_bytes: bytes, context: grpc.ServicerContext) -> Any:
        request = storage_types.ReadRowsRequest.deserialize(request_bytes)
        self._touch(request.read_stream.partition("/streams/")[0])
        return super()._handle_read_rows(request_bytes, context)

    def _touch(self, session: str) -> None:
        # A refused request has no session.
        if session in read_session._SESSIONS:
            self._last_use[session] = next(self._clock)

    def _forget_sessions(self) -> None:
        last_use = dict(self._last_use)
        sessions = dict(read_session._SESSIONS)
        by_age = [name for name in sorted(last_use, key=last_use.__getitem__) if name in sessions]
        sizes = ((name, sessions[name].table.nbytes) for name in by_age)
        for name in expendable(sizes, SESSION_BYTES):
            read_session._SESSIONS.pop(name, None)
            self._last_use.pop(name, None)


def forget_results(context: AppContext) -> None:
    """Bound what is kept of past jobs: bqemulator frees it only when a job is deleted."""
    results = dict(executor.JOB_RESULTS)
    sizes = ((job, table.nbytes) for job, table in results.items())
    for job in expendable(sizes, RESULT_BYTES):
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
    return {key: resource[key] for key in ("timePartitioning", "clustering") if key in resource}


def column_definitions(meta: TableMeta) -> str:
    """The columns of a table as DuckDB's CREATE TABLE wants them."""
    fields = [tables_route._field_to_rest(field) for field in meta.schema_.fields]
    columns = bq_schema_to_duckdb_columns(fields)
    return ", ".join(f'"{name}" {declared}' for name, declared in columns)


def replace_job_runners(load: JobRunner, extract: JobRunner, copy: JobRunner) -> None:
    """Run load, extract and copy jobs by other functions than bqemulator's.

    Its own read gs:// below one local directory only, ignore unknown fields, CSV options and
    base64, leave the files before a bad one loaded, and copy the first of several tables.
    """
    for (module, name), runner in zip(REPLACED, (load, extract, copy), strict=True):
        setattr(module, name, runner)


# Snapshots, clones and restores are left to bqemulator.
run_table_operation: JobRunner = executor.execute_copy_job
