"""Load, extract and copy jobs in the form in which bqemulator runs its own."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import JobMeta

from tf_dataflow_serving.services.bigquery.embedded.database import Database
from tf_dataflow_serving.services.bigquery.embedded.engine import (
    replace_job_runners,
    run_table_operation,
)
from tf_dataflow_serving.services.bigquery.errors import BigQueryError
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.jobs.copying import (
    check_copy,
    is_plain_copy,
    run_copy,
)
from tf_dataflow_serving.services.bigquery.jobs.extraction import check_extract, run_extract
from tf_dataflow_serving.services.bigquery.jobs.loading import (
    Source,
    StoredSource,
    UploadedSource,
    check_load,
    run_load,
)
from tf_dataflow_serving.services.bigquery.warehouse import Warehouse

Statistics = Mapping[str, Any]


@dataclass(frozen=True)
class _Job:
    project: str
    id: str
    kind: Literal["LOAD", "EXTRACT", "COPY"]
    configuration: dict[str, Any]


_CHECKS = {"LOAD": check_load, "EXTRACT": check_extract, "COPY": check_copy}


def install_jobs(database: Database, objects: ObjectStore) -> None:
    """Have bqemulator run load, extract and copy jobs by ours."""

    async def load(project: str, job: str, config: dict[str, Any], ctx: AppContext) -> JobMeta:
        identity = _Job(project, job, "LOAD", config)
        return await _loaded(identity, ctx, StoredSource(objects), database)

    async def extract(project: str, job: str, config: dict[str, Any], ctx: AppContext) -> JobMeta:
        identity = _Job(project, job, "EXTRACT", config)
        if config.get("dryRun"):
            return await _finished(identity, ctx, _checked(identity, database))
        return await _finished(identity, ctx, _extract(config, project, objects, database))

    async def copy(project: str, job: str, config: dict[str, Any], ctx: AppContext) -> JobMeta:
        identity = _Job(project, job, "COPY", config)
        if config.get("dryRun"):
            return await _finished(identity, ctx, _checked(identity, database))
        if not is_plain_copy(config["copy"]):
            return await run_table_operation(project, job, config, ctx)
        work = _copy(config, project, database.recording(_done(identity, ctx)))
        return await _finished(identity, ctx, work)

    replace_job_runners(load, extract, copy)


async def run_uploaded_load(
    database: Database, project: str, job: Mapping[str, Any], path: Path
) -> None:
    """Run a load job, which must have an id, on an uploaded file; the catalog has its outcome."""
    config = dict(job["configuration"])
    identity = _Job(project, job["jobReference"]["jobId"], "LOAD", config)
    done = await _loaded(identity, database.context, UploadedSource(path), database)
    database.record_job(done)


async def _loaded(job: _Job, ctx: AppContext, source: Source, database: Database) -> JobMeta:
    if job.configuration.get("dryRun"):
        return await _finished(job, ctx, _checked(job, database))
    recording = database.recording(_done(job, ctx))
    return await _finished(job, ctx, _load(job.configuration, job.project, source, recording))


async def _checked(job: _Job, warehouse: Warehouse) -> Statistics:
    """What a dry run does of a job: see whether it could begin."""
    _CHECKS[job.kind](job.configuration[job.kind.lower()], job.project, warehouse)
    return {}


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
    done = _done(job, ctx)
    changes: dict[str, Any] = {}
    try:
        changes["statistics"] = dict(await work)
    except BigQueryError as error:
        location = {"location": error.location} if error.location else {}
        reason = {"reason": error.reason, "message": error.message}
        changes["error_result"] = reason | location
    return done.model_copy(update={**changes, "end_time": ctx.clock.now()})


def _done(job: _Job, ctx: AppContext) -> JobMeta:
    """A job that has succeeded at once."""
    now = ctx.clock.now()
    return JobMeta(
        project_id=job.project,
        job_id=job.id,
        job_type=job.kind,
        state="DONE",
        configuration=job.configuration,
        statistics={},
        error_result=None,
        creation_time=now,
        start_time=now,
        end_time=now,
        etag=generate_etag(job.project, job.id, str(now)),
    )
