"""Guards: each fails when bqemulator, written for 1.4, no longer has what we reach for."""

import ast
import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bqemulator
import duckdb
import pyarrow as pa
import pytest
from bqemulator.api.routes import tables
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.config import Settings
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.jobs import executor
from bqemulator.scripting.interpreter import ScriptInterpreter
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.types import geography
from bqemulator.versioning.snapshots import SnapshotManager

from tf_dataflow_serving.services.bigquery.embedded import engine, engine_statements
from tf_dataflow_serving.services.bigquery.embedded.transactions import Transactions

JOB_PARAMETERS = ["project_id", "job_id", "config", "ctx"]


def test_the_installed_version_is_the_one_this_was_written_for() -> None:
    engine.check_version()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda _: "1.5.0")
    with pytest.raises(RuntimeError, match=r"1\.4"):
        engine.check_version()


@pytest.mark.parametrize(("module", "name"), engine.REPLACED)
def test_the_runners_that_are_replaced_are_there(module: Any, name: str) -> None:
    assert list(inspect.signature(getattr(executor, name)).parameters) == JOB_PARAMETERS
    assert callable(getattr(module, name))


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            DuckDBEngine,
            (
                "connection",
                "fetch_arrow",
                "_apply_session_pragmas",
                "_load_spatial",
                "_register_builtin_udfs",
            ),
        ),
        (SnapshotManager, ("record_change",)),
        (BigQueryWriteHandler, ("_ensure_stream_bound", "_flush_to_target")),
        (tables, ("_rest_to_table_meta", "_table_to_rest", "_field_to_rest")),
        (executor, ("JOB_RESULTS", "JOB_SCHEMAS", "execute_copy_job")),
        (geography, ("_CONV_CONN", "_ensure_conv_conn")),
    ],
)
def test_the_private_names_are_there(owner: Any, names: tuple[str, ...]) -> None:
    for name in names:
        assert hasattr(owner, name), name


@pytest.mark.parametrize(("owner", "name"), engine_statements.WRAPPED)
def test_what_is_wrapped_is_a_coroutine_function(owner: Any, name: str) -> None:
    assert inspect.iscoroutinefunction(inspect.unwrap(getattr(owner, name)))


def test_what_the_wrappers_rely_on_is_there() -> None:
    assert list(inspect.signature(executor.execute_query_job).parameters)[:5] == [
        "project_id",
        "job_id",
        "bq_sql",
        "query_params",
        "ctx",
    ]
    assert list(inspect.signature(executor._run_single_sql).parameters)[:4] == [
        "project_id",
        "bq_sql",
        "query_params",
        "ctx",
    ]
    script = inspect.unwrap(executor._run_script)
    assert list(inspect.signature(script).parameters) == ["interpreter", "source", "ctx"]
    assert callable(getattr(*engine_statements.SESSION_CHECK))
    assert executor.classify_statement_type("ALTER TABLE d.t DROP COLUMN c") == "ALTER_TABLE"
    assert callable(ddl_sync._split_target)
    assert callable(ddl_sync._introspect_schema)
    assert callable(DuckDBCatalogRepository._write_job)
    source = inspect.getsource(ScriptInterpreter.__init__)
    assert "self._ctx = " in source
    assert "self._project_id = " in source


def test_no_body_under_the_write_lock_gives_way() -> None:
    for file in Path(bqemulator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.AsyncWith) and "write_lock" in ast.dump(node.items[0]):
                inside = [kind for part in node.body for kind in ast.walk(part)]
                assert not any(isinstance(kind, ast.Await) for kind in inside), file


def test_the_start_calls_the_steps_in_the_order_we_rely_on() -> None:
    source = inspect.getsource(DuckDBEngine.start)
    steps = ["connect(", "_apply_session_pragmas", "_load_spatial", "_register_builtin_udfs"]
    positions = [source.index(step) for step in steps]
    assert positions == sorted(positions)


def test_the_catalogs_keep_their_entries_in_dicts() -> None:
    memory = MemoryCatalogRepository()
    assert {"_datasets", "_tables", "_jobs"} <= vars(memory).keys()
    assert isinstance(vars(memory)["_jobs"], dict)
    assert isinstance(DuckDBCatalogRepository(None)._cache, MemoryCatalogRepository)


def test_query_destinations_are_named_as_we_read_them() -> None:
    named = executor._build_query_configuration("SELECT 1", "my-project", "a-b")
    reference = named["query"]["destinationTable"]
    quoted = executor.quoted_table_ref(*reference.values())
    assert engine._ANONYMOUS_TABLE.findall(quoted) == ["anonab"]
    assert reference["datasetId"] == engine.ANONYMOUS_DATASET


@pytest.fixture
def settings() -> Settings:
    return Settings(enable_format_extensions=False)


async def started(settings: Settings, scratch: Path) -> engine.Engine:
    database = engine.Engine(settings, scratch)
    await database.start()
    return database


def in_thread(work: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=30)


@pytest.fixture
def database(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "America/New_York")
    made = asyncio.run(started(settings, tmp_path))
    yield made
    asyncio.run(made.stop())


def test_every_thread_has_a_connection_of_its_own(database: engine.Engine) -> None:
    assert database.connection is database.connection
    assert in_thread(lambda: database.connection) is not database.connection


def test_every_thread_sees_the_same_data_in_utc(database: engine.Engine) -> None:
    database.execute("CREATE TABLE t AS SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00' AS moment")
    text = "SELECT CAST(moment AS VARCHAR) FROM t"
    assert in_thread(lambda: database.execute(text).fetchall()) == [("2024-01-01 00:00:00+00",)]


def test_functions_of_bqemulator_work_in_every_thread(database: engine.Engine) -> None:
    query = "SELECT bqemu_farm_fingerprint('x')"
    assert (
        in_thread(lambda: database.execute(query).fetchall()) == database.execute(query).fetchall()
    )


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "INSTALL httpfs",
    ],
)
def test_sql_reaches_no_file(database: engine.Engine, query: str) -> None:
    for run in (
        lambda: database.execute(query),
        lambda: in_thread(lambda: database.execute(query)),
    ):
        with pytest.raises(Exception):  # noqa: B017 - DuckDB has several
            run()


def test_geometry_is_converted_without_an_installation(database: engine.Engine) -> None:
    point = bytes.fromhex("0101000000000000000000f03f0000000000000040")
    assert geography.wkb_to_wkt(point) == "POINT (1 2)"


def test_a_listed_dict_may_grow() -> None:
    catalog = MemoryCatalogRepository()
    engine.make_stable(catalog, Transactions(duckdb.connect))
    catalog._jobs.update({("p", "1"): 1, ("p", "2"): 2})
    for key, _ in catalog._jobs.items():
        catalog._jobs[(*key, "more")] = 3
    for _ in catalog._jobs.values():
        catalog._jobs[object()] = 4
    assert len(catalog._jobs) == 8


def test_results_of_old_queries_are_forgotten(
    database: engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RESULT_BYTES", 20)
    monkeypatch.setattr(engine, "JOBS_KEPT", 1)
    monkeypatch.setattr(executor, "JOB_RESULTS", {str(n): pa.table({"n": [n]}) for n in range(4)})
    monkeypatch.setattr(executor, "JOB_SCHEMAS", {str(n): [] for n in range(4)})
    catalog = MemoryCatalogRepository(database)
    for number in range(3):
        catalog._jobs["p", str(number)] = SimpleNamespace(state="DONE")
    engine.forget_results(SimpleNamespace(catalog=catalog))
    assert list(executor.JOB_RESULTS) == list(executor.JOB_SCHEMAS) == ["2", "3"]
    assert list(catalog._jobs) == [("p", "2")]


def test_the_number_of_kept_results_is_bounded(
    database: engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RESULTS_KEPT", 2)
    empty = {str(number): pa.table({}) for number in range(4)}
    monkeypatch.setattr(executor, "JOB_RESULTS", empty)
    monkeypatch.setattr(executor, "JOB_SCHEMAS", {job: [] for job in empty})
    engine.forget_results(SimpleNamespace(catalog=MemoryCatalogRepository(database)))
    assert list(executor.JOB_RESULTS) == list(executor.JOB_SCHEMAS) == ["2", "3"]


def test_a_query_reads_the_result_of_another_by_its_destination(
    database: engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "JOB_RESULTS", {"a-b": pa.table({"n": [1, 2]})})
    query = 'SELECT sum(n) AS n FROM "p___bqemu_anonymous"."anonab"'
    for run in (lambda work: work(), in_thread):
        assert run(lambda: database.fetch_arrow(query)).to_pylist() == [{"n": 3}]
    with pytest.raises(duckdb.CatalogException):
        database.fetch_arrow(query.replace("anonab", "anonother"))
