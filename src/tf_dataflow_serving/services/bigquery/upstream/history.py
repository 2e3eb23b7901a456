"""The jobs that were run, and what their queries gave, in memory and bounded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import AlreadyExists, BigQueryError, NotFound
from tf_dataflow_serving.services.bigquery.retention import expendable
from tf_dataflow_serving.services.bigquery.types.schema import Schema

RESULT_BYTES = 512 * 1024 * 1024
JOBS_KEPT = 10_000


@dataclass(frozen=True)
class QueryResult:
    """The rows that a query gave, in columns of the types of `arrow_schema`."""

    schema: Schema
    rows: pa.Table


@dataclass(frozen=True)
class FinishedJob:
    """A Job resource, what its query gave, or what went wrong."""

    resource: Mapping[str, Any]
    result: QueryResult | None = None
    error: BigQueryError | None = None
    is_result_gone: bool = False


class JobHistory:
    """Jobs by project and id, oldest first."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], FinishedJob] = {}
        self._running: set[tuple[str, str]] = set()

    @contextmanager
    def new(self, project: str, job: Mapping[str, Any]) -> Iterator[str]:
        """Give a job its id, or one if it has none; raises AlreadyExists for one seen before."""
        job_id = str((job.get("jobReference") or {}).get("jobId") or f"job_{uuid4().hex}")
        key = (project, job_id)
        if key in self._jobs or key in self._running:
            raise AlreadyExists(f"Already Exists: Job {project}:US.{job_id}")
        self._running.add(key)
        try:
            yield job_id
        finally:
            self._running.discard(key)

    def add(self, project: str, job_id: str, job: FinishedJob) -> None:
        """Keep a job; the results of the oldest go, if there are too many."""
        self._jobs[project, job_id] = job
        self._forget()

    def get(self, project: str, job_id: str) -> FinishedJob:
        """Raises NotFound."""
        try:
            return self._jobs[project, job_id]
        except KeyError:
            raise NotFound(f"Not found: Job {project}:US.{job_id}") from None

    def list(self, project: str) -> Sequence[FinishedJob]:
        """The jobs of a project, newest first."""
        return [job for (owner, _), job in reversed(self._jobs.items()) if owner == project]

    def remove(self, project: str, job_id: str) -> None:
        """Forget a job; raises NotFound."""
        self.get(project, job_id)
        del self._jobs[project, job_id]

    def _forget(self) -> None:
        for key in list(self._jobs)[: max(len(self._jobs) - JOBS_KEPT, 0)]:
            del self._jobs[key]
        held = {key: job.result for key, job in self._jobs.items() if job.result is not None}
        sizes = ((key, result.rows.nbytes) for key, result in held.items())
        for key in expendable(sizes, RESULT_BYTES):
            self._jobs[key] = replace(self._jobs[key], result=None, is_result_gone=True)
