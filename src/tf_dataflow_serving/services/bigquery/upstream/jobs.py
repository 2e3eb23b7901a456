"""Jobs on the other emulator: its own are slow, kept for good, and lose what they are given.

Source: Job (https://cloud.google.com/bigquery/docs/reference/rest/v2/Job).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import (
    BigQueryError,
    InvalidQuery,
    InvalidRequest,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.jobs.copying import is_plain_copy, run_copy
from tf_dataflow_serving.services.bigquery.jobs.extraction import run_extract
from tf_dataflow_serving.services.bigquery.jobs.loading import Source, StoredSource, run_load
from tf_dataflow_serving.services.bigquery.sql.legacy_sql import in_google_sql
from tf_dataflow_serving.services.bigquery.upstream.history import (
    FinishedJob,
    JobHistory,
    QueryResult,
)
from tf_dataflow_serving.services.bigquery.upstream.parameters import with_parameters
from tf_dataflow_serving.services.bigquery.upstream.results import anonymous_table
from tf_dataflow_serving.services.bigquery.upstream.scripts import Script
from tf_dataflow_serving.services.bigquery.upstream.warehouse import UpstreamWarehouse
from tf_dataflow_serving.services.bigquery.warehouse import Target, Write, check_target, store

_KINDS = ("query", "load", "extract", "copy")


@dataclass(frozen=True)
class _Done:
    """What the work of a job leaves behind."""

    statistics: Mapping[str, Any]
    result: QueryResult | None = None


@dataclass(frozen=True)
class UpstreamJobs:
    """Runs jobs, one after another as the warehouse does, and keeps them in `history`."""

    warehouse: UpstreamWarehouse
    objects: ObjectStore
    history: JobHistory
    clock: Callable[[], datetime]

    async def run(
        self, project: str, job: Mapping[str, Any], source: Source | None = None
    ) -> FinishedJob:
        """Run a Job resource; what goes wrong is told in its status, as BigQuery does.

        The files of a load job come from `source`, without one from where it says. A dry run
        changes nothing, and is not kept. Raises AlreadyExists, InvalidRequest for what is no
        job, or what is wrong with a dry run.
        """
        configuration = dict(job.get("configuration") or {})
        kind = _kind(configuration)
        with self.history.new(project, job) as job_id:
            if configuration.get("dryRun"):
                work = self._preview(kind, configuration[kind], project)
                return _without_error(await self._finished(project, job_id, configuration, work))
            work = self._work(kind, configuration[kind], project, source)
            finished = await self._finished(project, job_id, configuration, work)
            self.history.add(project, job_id, finished)
        return finished

    async def _finished(
        self,
        project: str,
        job_id: str,
        configuration: dict[str, Any],
        work: Awaitable[_Done],
    ) -> FinishedJob:
        start, kind = self.clock(), _kind(configuration)
        done, error = _Done({}), None
        try:
            done = await work
        except BigQueryError as raised:
            error = raised
        if done.result is not None and "destinationTable" not in configuration[kind]:
            anonymous = anonymous_table(project, job_id).to_rest()
            configuration[kind] = {**configuration[kind], "destinationTable": anonymous}
        times = {"creationTime": _milliseconds(start), "startTime": _milliseconds(start)}
        resource = {
            "kind": "bigquery#job",
            "id": f"{project}:US.{job_id}",
            "jobReference": {"projectId": project, "jobId": job_id, "location": "US"},
            "configuration": {**configuration, "jobType": kind.upper()},
            "status": {"state": "DONE", **_failure(error)},
            "statistics": {
                **times,
                "endTime": _milliseconds(self.clock()),
                "totalBytesProcessed": "0",
                kind: done.statistics,
            },
        }
        return FinishedJob(resource, done.result, error)

    async def _work(
        self, kind: str, work: Mapping[str, Any], project: str, source: Source | None
    ) -> _Done:
        if kind == "query":
            return await asyncio.to_thread(self._query, work, project)
        if kind == "load":
            files = source or StoredSource(self.objects)
            loaded = await run_load(work, project, files, self.warehouse)
            return _Done(loaded.to_rest())
        if kind == "extract":
            counts = await run_extract(work, project, self.objects, self.warehouse)
            return _Done({"destinationUriFileCounts": [str(count) for count in counts]})
        if not is_plain_copy(work):
            raise Unsupported(f"{work['operationType']} is not supported")
        return _Done({"copiedRows": str(run_copy(work, project, self.warehouse))})

    async def _preview(self, kind: str, work: Mapping[str, Any], project: str) -> _Done:
        """What a dry run tells; that of a query which reads has its schema, and no row."""
        if kind != "query":
            return _Done({})
        return await asyncio.to_thread(self._previewed_query, work, project)

    def _previewed_query(self, query: Mapping[str, Any], project: str) -> _Done:
        query, sql, script = self._prepared(query, project)
        told = {**_statement_type(script), "totalBytesProcessed": "0"}
        if not script.reads:
            script.check()
            return _Done(told)
        result = self.warehouse.query(project, sql, query.get("defaultDataset"))
        fields = [field.to_rest() for field in result.schema]
        shown = {**told, "schema": {"fields": fields}}
        return _Done(shown, QueryResult(result.schema, result.rows.slice(0, 0)))

    def _query(self, query: Mapping[str, Any], project: str) -> _Done:
        query, sql, script = self._prepared(query, project)
        if not script.reads:
            written = self.warehouse.execute(project, sql, query.get("defaultDataset"))
            return _Done(_statement_type(script), written)
        result = self.warehouse.query(project, sql, query.get("defaultDataset"))
        target = _target(query, project)
        if target is not None:
            store(self.warehouse, target, result.schema, result.rows)
        return _Done(_statement_type(script), result)

    def _prepared(
        self, query: Mapping[str, Any], project: str
    ) -> tuple[Mapping[str, Any], str, Script]:
        """A query in GoogleSQL, with its parameters and a target that it may write to."""
        query = in_google_sql(query, project, self.warehouse.schema)
        sql = with_parameters(str(query.get("query")), query.get("queryParameters") or ())
        script = Script.parse(sql)
        target = _target(query, project)
        if target is not None:
            if not script.reads:
                raise InvalidQuery("Only a SELECT statement may have a destination table")
            check_target(self.warehouse, target)
        return query, sql, script


def _kind(configuration: Mapping[str, Any]) -> str:
    kind = next((kind for kind in _KINDS if kind in configuration), None)
    if kind is None:
        raise InvalidRequest("Required parameter is missing: a job's configuration")
    return kind


def _without_error(job: FinishedJob) -> FinishedJob:
    if job.error is not None:
        raise job.error
    return job


def _statement_type(script: Script) -> Mapping[str, Any]:
    return {"statementType": script.statement_type} if script.statement_type else {}


def _target(query: Mapping[str, Any], project: str) -> Target | None:
    if not query.get("destinationTable"):
        return None
    return Target.from_rest(query, project, Write.EMPTY)


def _failure(error: BigQueryError | None) -> dict[str, Any]:
    if error is None:
        return {}
    location = {"location": error.location} if error.location else {}
    told = {"reason": error.reason, "message": error.message, **location}
    return {"errorResult": told, "errors": [told]}


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
