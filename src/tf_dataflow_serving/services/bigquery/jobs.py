"""Load, extract and copy jobs in the form in which bqemulator runs its own."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import JobMeta

from tf_dataflow_serving.services.bigquery.copying import is_plain_copy, run_copy
from tf_dataflow_serving.services.bigquery.database import Database
from tf_dataflow_serving.services.bigquery.engine import replace_job_runners, run_table_operation
from tf_dataflow_serving.services.bigquery.errors import BigQueryError
from tf_dataflow_serving.services.bigquery.extraction import run_extract
from tf_dataflow_serving.services.bigquery.loading import Source, StoredSource, run_load
from tf_dataflow_serving.services.bigquery.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.reading import SourceFile
from tf_dataflow_serving.services.bigquery.warehouse import Warehouse

Statistics = Mapping[str, Any]


@dataclass(frozen=True)
class _Job:
    project: str
    id: str
    kind: Literal["LOAD", "EXTRACT", "COPY"]
    configuration: dict[str, Any]


@dataclass(frozen=True)
class UploadedSource:
    """The one file that came with the request."""

    path: Path

    async def files(self, load: Mapping[str, Any]) -> Sequence[SourceFile]:  # noqa: ARG002
        """Read it; what the job names itself plays no part."""
        return [SourceFile("uploaded file", await asyncio.to_thread(self.path.read_bytes))]


def install_jobs(database: Database, objects: ObjectStore) -> None:
    """Have bqemulator run load, extract and copy jobs by ours."""

    async def load(project: str, job: str, config: dict[str, Any], ctx: AppContext) -> JobMeta:
        work = _load(config, project, StoredSource(objects), database)
        return await _finished(_Job(project, job, "LOAD", config), ctx, work)

    async def extract(project: str, job: str, config: dict[str, Any], ctx: AppContext) -> JobMeta:
        work = _extract(config, project, objects, database)
        return await _finished(_Job(project, job, "EXTRACT", config), ctx, work)

    async def copy(project: str, job: str, config: dict[str, Any], ctx: AppContext) -> JobMeta:
        if not is_plain_copy(config["copy"]):
            return await run_table_operation(project, job, config, ctx)
        work = _copy(config, project, database)
        return await _finished(_Job(project, job, "COPY", config), ctx, work)

    replace_job_runners(load, extract, copy)


async def run_uploaded_load(
    database: Database, project: str, job: Mapping[str, Any], path: Path
) -> None:
    """Run a load job, which must have an id, on an uploaded file; the catalog has its outcome."""
    config = dict(job["configuration"])
    work = _load(config, project, UploadedSource(path), database)
    identity = _Job(project, job["jobReference"]["jobId"], "LOAD", config)
    database.record_job(await _finished(identity, database.context, work))


async def _load(
    config: Mapping[str, Any], project: str, source: Source, warehouse: Warehouse
) -> Statistics:
    result = await run_load(config["load"], project, source, warehouse)
    return {"load": result.to_rest()}


async def _extract(
    config: Mapping[str, Any], project: str, objects: ObjectStore, warehouse: Warehouse
) -> Statistics:
    counts = await run_extract(config["extract"], project, objects, warehouse)
    return {"extract": {"destinationUriFileCounts": [str(count) for count in counts]}}


async def _copy(config: Mapping[str, Any], project: str, warehouse: Warehouse) -> Statistics:
    copied = run_copy(config["copy"], project, warehouse)
    return {"copy": {"copiedRows": str(copied)}}


async def _finished(job: _Job, ctx: AppContext, work: Awaitable[Statistics]) -> JobMeta:
    """Do the work of a job; what goes wrong is told in its status, as BigQuery does."""
    start = ctx.clock.now()
    statistics: Statistics = {}
    error_result = None
    try:
        statistics = await work
    except BigQueryError as error:
        error_result = {"reason": error.reason, "message": error.message}
        error_result |= {"location": error.location} if error.location else {}
    return JobMeta(
        project_id=job.project,
        job_id=job.id,
        job_type=job.kind,
        state="DONE",
        configuration=job.configuration,
        statistics=dict(statistics),
        error_result=error_result,
        creation_time=start,
        start_time=start,
        end_time=ctx.clock.now(),
        etag=generate_etag(job.project, job.id, str(start)),
    )
