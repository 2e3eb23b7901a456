"""What the statements for the other emulator are, and what it is not asked at all."""

import asyncio
from datetime import UTC, datetime

import httpx
import pyarrow as pa
import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery, NotFound, Unsupported
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode
from tf_dataflow_serving.services.bigquery.upstream import history
from tf_dataflow_serving.services.bigquery.upstream.client import UpstreamClient
from tf_dataflow_serving.services.bigquery.upstream.history import (
    FinishedJob,
    JobHistory,
    QueryResult,
)
from tf_dataflow_serving.services.bigquery.upstream.jobs import UpstreamJobs
from tf_dataflow_serving.services.bigquery.upstream.replacing import Replacement
from tf_dataflow_serving.services.bigquery.upstream.scripts import Script
from tf_dataflow_serving.services.bigquery.upstream.warehouse import UpstreamWarehouse, _declared
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

TABLE = {"projectId": "p", "datasetId": "d", "tableId": "t"}
# Nothing listens there: what asks the emulator fails.
NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("sql", "reads", "kind"),
    [
        ("-- of ;\n SELECT ';' AS `;` ;", True, "SELECT"),
        ("(SELECT 1) UNION ALL SELECT 2", True, "SELECT"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", True, "SELECT"),
        ("SELECT 1; INSERT INTO d.t VALUES (7)", False, "SCRIPT"),
        ("WITH x AS (SELECT 1) SELECT * FROM x; DELETE FROM d.t WHERE TRUE", False, "SCRIPT"),
        ("DECLARE x INT64 DEFAULT 41; SELECT x + 1", False, "SCRIPT"),
        ("merge d.t USING d.u ON FALSE WHEN NOT MATCHED THEN INSERT ROW", False, "MERGE"),
        ("CREATE TABLE d.t (a INT64)", False, ""),
        ("SELECT 'open", False, ""),
        ("", False, ""),
    ],
)
def test_only_a_single_query_reads(sql, reads, kind):
    script = Script.parse(sql)
    assert script.reads is reads
    assert script.statement_type == kind


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("CREATE TABLE d.t AS SELECT * FROM d.u", {TableRef("p", "d", "t")}),
        ("DROP TABLE IF EXISTS `q-1.d.t`; DROP VIEW d.v", {("q-1", "d", "t"), ("p", "d", "v")}),
        ("ASSERT TRUE; DROP TABLE d.t", {("p", "d", "t")}),
        ("CREATE TABLE IF NOT EXISTS d.t (a INT64)", set()),
        ("CREATE FUNCTION d.t(x INT64) AS (x)", set()),
        ("CREATE TEMP TABLE t AS SELECT 1", set()),
        ("INSERT INTO d.t VALUES (1)", set()),
    ],
)
def test_tables_that_statements_make_or_drop(sql, tables):
    expected = {table if isinstance(table, TableRef) else TableRef(*table) for table in tables}
    assert Script.parse(sql).remade("p") == expected


def test_what_is_kept_of_a_column_is_not_told_of_another():
    kept = {"schema": {"fields": [{"name": "a", "type": "INTEGER", "mode": "REQUIRED"}]}}
    assert _declared((Field("a", "INTEGER"),), kept) == (Field("a", "INTEGER", Mode.REQUIRED),)
    for found in (Field("a", "STRING"), Field("a", "INTEGER", Mode.REPEATED)):
        assert _declared((found,), kept) == (found,)


def test_a_view_that_reads_itself_is_refused():
    with pytest.raises(InvalidQuery, match="read itself"):
        Replacement.parse("CREATE OR REPLACE VIEW d.v AS SELECT * FROM `p.d.v`", "p")


@pytest.fixture
def jobs():
    client, http = UpstreamClient(NOWHERE), httpx.AsyncClient(base_url=NOWHERE)
    warehouse, now = UpstreamWarehouse(client), datetime(2020, 1, 1, tzinfo=UTC)
    yield UpstreamJobs(warehouse, ObjectStore(http), JobHistory(), lambda: now)
    asyncio.run(http.aclose())
    client.close()


def run(jobs, **configuration):
    job = {"jobReference": {"jobId": "j"}, "configuration": configuration}
    return asyncio.run(jobs.run("p", job))


def test_a_dry_run_does_nothing_and_is_not_kept(jobs):
    query = {"query": "DELETE FROM d.t WHERE TRUE", "useLegacySql": False}
    load = {"sourceUris": ["gs://b/x.json"], "destinationTable": TABLE}
    extract = {"sourceTable": TABLE, "destinationUris": ["gs://b/x.json"]}
    copy = {"sourceTable": TABLE, "destinationTable": {**TABLE, "tableId": "u"}}
    for work in ({"query": query}, {"load": load}, {"extract": extract}, {"copy": copy}):
        job = run(jobs, dryRun=True, **work)
        assert job.resource["status"] == {"state": "DONE"}
        assert job.resource["configuration"]["dryRun"] is True
    assert jobs.history.list("p") == []


def test_a_dry_run_of_what_is_no_sql_is_refused(jobs):
    with pytest.raises(InvalidQuery):
        run(jobs, dryRun=True, query={"query": "DELETE FROM WHERE (", "useLegacySql": False})


def test_statements_that_write_take_no_destination(jobs):
    sql = "INSERT INTO d.t VALUES (1)"
    query = {"query": sql, "useLegacySql": False, "destinationTable": TABLE}
    assert isinstance(run(jobs, query=query).error, InvalidQuery)


def test_alter_is_refused_by_name(jobs):
    query = {"query": "SELECT 1; ALTER TABLE d.t ADD COLUMN c INT64", "useLegacySql": False}
    error = run(jobs, query=query).error
    assert isinstance(error, Unsupported)
    assert "ALTER" in error.message


def test_a_result_that_went_is_known_to_be_gone(monkeypatch):
    monkeypatch.setattr(history, "RESULT_BYTES", 1000)
    jobs = JobHistory()
    for name in ("first", "second"):
        result = QueryResult((Field("a", "INTEGER"),), pa.table({"a": list(range(100))}))
        jobs.add("p", name, FinishedJob({}, result))
    assert jobs.get("p", "first") == FinishedJob({}, is_result_gone=True)
    assert not jobs.get("p", "second").is_result_gone
    with pytest.raises(NotFound):
        jobs.get("p", "third")
