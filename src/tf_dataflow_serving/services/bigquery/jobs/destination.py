"""Query jobs that write their rows into a table of the client's choice.

bqemulator runs such a query and ignores its destination. Source: JobConfigurationQuery
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, Self

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import BigQueryError, InvalidRequest
from tf_dataflow_serving.services.bigquery.types.schema import Schema, arrow_schema
from tf_dataflow_serving.services.bigquery.warehouse import (
    Target,
    Warehouse,
    Write,
    check_target,
    store,
)

# What bqemulator would read as part of a destination that it does not write to.
_TARGET_KEYS = ("destinationTable", "writeDisposition", "createDisposition", "schemaUpdateOptions")

Job = dict[str, Any]
RunJob = Callable[[Job], Awaitable[Job]]


class JobStore(Warehouse, Protocol):
    """A warehouse that also keeps jobs and the rows that queries gave."""

    def query_result(self, job: str) -> tuple[Schema, pa.Table] | None:
        """The schema and the rows that a query job gave."""
        ...

    def unsettled_jobs(self) -> AbstractContextManager[None]:
        """Jobs that are recorded inside are forgotten if the service dies before they are again."""
        ...

    def recording_amended(self, project: str, job: str, changes: Mapping[str, Any]) -> Self:
        """The warehouse whose transactions also record a job, as `amend_job` would make it."""
        ...

    def amend_job(self, project: str, job: str, changes: Mapping[str, Any]) -> None:
        """Change what is told of a job from now on."""
        ...


def has_destination(job: Mapping[str, Any]) -> bool:
    """Whether a job is a query that is to write its rows to a table."""
    configuration = job.get("configuration") or {}
    query = configuration.get("query") or {}
    return bool(query.get("destinationTable")) and not configuration.get("dryRun")


async def run_into_table(job: Job, project: str, run: RunJob, warehouse: JobStore) -> Job:
    """Run a query by `run`, then write its rows; returns the Job resource.

    `job` must have an id. Raises InvalidRequest; what goes wrong with the destination is told
    in the job's status, as BigQuery does.
    """
    configuration = dict(job["configuration"])
    target = Target.from_rest(configuration["query"], project, Write.EMPTY)
    plain = {k: v for k, v in configuration["query"].items() if k not in _TARGET_KEYS}
    with warehouse.unsettled_jobs():
        finished = await run({**job, "configuration": {**configuration, "query": plain}})
    job_id = finished["jobReference"]["jobId"]
    status = dict(finished.get("status") or {})
    if not status.get("errorResult"):
        done = {"configuration": configuration}
        recording = warehouse.recording_amended(project, job_id, done)
        with _told_if_it_fails(warehouse, project, job_id):
            status |= _written(job_id, target, recording)
    changes = {"configuration": configuration, "error_result": status.get("errorResult")}
    warehouse.amend_job(project, job_id, changes)
    return {**finished, "configuration": configuration, "status": status}


@contextmanager
def _told_if_it_fails(warehouse: JobStore, project: str, job_id: str) -> Iterator[None]:
    """Let a job that ends by a fault of ours not be found done.

    The client, which gets an error, sends the job again, is told that there is one, and asks it.
    """
    try:
        yield
    except Exception as error:
        failure = {"reason": "internalError", "message": repr(error)}
        warehouse.amend_job(project, job_id, {"error_result": failure})
        raise


def _written(job_id: str, target: Target, warehouse: JobStore) -> dict[str, Any]:
    """Write the rows of a job; returns what that adds to its status."""
    try:
        check_target(warehouse, target)
        result = warehouse.query_result(job_id)
        if result is None or not result[0]:
            raise InvalidRequest("A statement without rows can't have a destination table")
        schema, rows = result
        store(warehouse, target, schema, rows.cast(arrow_schema(schema)))
    except BigQueryError as error:
        proto = {"reason": error.reason, "message": error.message}
        return {"errorResult": proto, "errors": [proto]}
    return {}
