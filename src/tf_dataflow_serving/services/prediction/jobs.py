"""Batch prediction jobs: their states, and how one comes through them."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from tf_dataflow_serving.services.prediction.batch import (
    BatchPrediction,
    Shard,
    Tally,
    shards,
    write_error_counts,
)
from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    JobCancelled,
    ModelUnusable,
    NotFound,
    PredictionFailed,
    ResourceError,
    StorageFailed,
)
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.saved_model import SavedModel

T = TypeVar("T")
Clock = Callable[[], datetime]
ModelSource = Callable[[], SavedModel]
_JOB_ID = re.compile(r"[a-zA-Z]\w{0,127}", re.ASCII)
_FAILURES = (ResourceError, StorageFailed, ModelUnusable, PredictionFailed)
_log = logging.getLogger(__name__)


class JobState(StrEnum):
    """The life of a job, as in GoogleCloudMlV1__Job.state."""

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True)
class JobDefinition:
    """What the user asks for.

    `given` is the request as it came, which the resource shows again. `model` loads, or has at
    hand, what is to predict.
    """

    job_id: str
    given: Mapping[str, object]
    input_paths: Sequence[str]
    output_path: str
    model: ModelSource
    signature_name: str | None
    max_workers: int
    batch_size: int


@dataclass
class Job:
    """A job and how far it has come."""

    definition: JobDefinition
    created: datetime
    state: JobState = JobState.QUEUED
    started: datetime | None = None
    ended: datetime | None = None
    error_message: str = ""
    tally: Tally = field(default_factory=Tally)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def finished(self) -> bool:
        """Whether the state is one that a job stays in."""
        return self.state in _FINAL

    def advance(self, state: JobState) -> None:
        """Enter a state on the way; raises JobCancelled if the job is not to go on."""
        if self.stop.is_set():
            raise JobCancelled
        self.state = state


class BatchJobs:
    """All jobs since the start of the service; `concurrent` of them run at a time.

    Their state changes on the event loop only; `executor` has the threads that work.
    """

    def __init__(
        self, store: ObjectStore, executor: Executor, clock: Clock, concurrent: int
    ) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._turn = asyncio.Semaphore(concurrent)
        self._jobs: dict[tuple[str, str], Job] = {}
        self._running: set[asyncio.Task[None]] = set()

    def submit(self, project: str, definition: JobDefinition) -> Job:
        """Queue a job; raises InvalidArgument, AlreadyExists."""
        _check(definition)
        if (project, definition.job_id) in self._jobs:
            raise AlreadyExists("job.job_id", "A job with this id already exists.")
        job = Job(definition, self._clock())
        self._jobs[project, definition.job_id] = job
        task = asyncio.create_task(self._run(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return job

    def get(self, project: str, job_id: str) -> Job:
        """Return a job; raises NotFound."""
        try:
            return self._jobs[project, job_id]
        except KeyError:
            raise NotFound("name", f'The job "{job_id}" was not found.') from None

    def jobs(self, project: str) -> list[Job]:
        """Return the jobs of a project, the latest first."""
        found = [job for (owner, _), job in self._jobs.items() if owner == project]
        return found[::-1]

    def cancel(self, project: str, job_id: str) -> None:
        """Ask a job to stop; it is CANCELLED once its workers have noticed.

        Raises NotFound, or FailedPrecondition for a job that has ended.
        """
        job = self.get(project, job_id)
        if job.finished:
            raise FailedPrecondition("name", f'The job "{job_id}" has ended: {job.state}.')
        job.stop.set()
        if job.state is JobState.QUEUED:
            self._end(job, JobState.CANCELLED)
        else:
            job.state = JobState.CANCELLING

    async def close(self) -> None:
        """Stop all jobs and wait until their workers have."""
        for job in self._jobs.values():
            job.stop.set()
        await asyncio.gather(*self._running)

    async def _run(self, job: Job) -> None:
        try:
            async with self._turn:
                await self._execute(job)
            self._end(job, JobState.SUCCEEDED)
        except JobCancelled:
            self._end(job, JobState.CANCELLED)
        except _FAILURES as error:
            self._end(job, JobState.FAILED, str(error))
        except Exception:
            _log.exception("job %s", job.definition.job_id)
            self._end(job, JobState.FAILED, "Internal error encountered.")

    def _end(self, job: Job, state: JobState, reason: str = "") -> None:
        job.state = state
        job.error_message = reason
        job.ended = job.ended or self._clock()

    async def _execute(self, job: Job) -> None:
        job.advance(JobState.PREPARING)
        with TemporaryDirectory(prefix="batch-prediction-") as directory:
            work, parts = await self._in_thread(self._prepare, job, Path(directory))
            job.advance(JobState.RUNNING)
            job.started = self._clock()
            await self._predict(work, parts)
            job.advance(JobState.RUNNING)
            await self._in_thread(self._publish, job, parts, Path(directory))

    def _prepare(self, job: Job, directory: Path) -> tuple[BatchPrediction, Sequence[Shard]]:
        definition = job.definition
        inputs = sorted({uri for path in definition.input_paths for uri in self._matching(path)})
        signature = definition.model().signature(definition.signature_name)
        work = BatchPrediction(self._store, signature, definition.batch_size, job.stop, job.tally)
        return work, shards(inputs, definition.max_workers, directory)

    def _matching(self, pattern: str) -> Sequence[str]:
        found = self._store.matching(pattern)
        if not found:
            raise FailedPrecondition(
                "prediction_input.input_paths", f"{pattern} doesn't contain any input files."
            )
        return found

    async def _predict(self, work: BatchPrediction, parts: Sequence[Shard]) -> None:
        """Let every shard come to its end; one that fails makes the others stop."""
        results = await asyncio.gather(
            *(self._in_thread(work.predict, part) for part in parts), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in sorted(failures, key=lambda error: isinstance(error, JobCancelled)):
            raise failure

    def _publish(self, job: Job, parts: Sequence[Shard], directory: Path) -> None:
        """Write all objects, now that there is nothing left that could fail in the middle."""
        errors = write_error_counts(job.tally.errors, directory)
        target = job.definition.output_path.rstrip("/")
        for path in (*(part.output for part in parts), errors):
            self._store.upload(path, f"{target}/{path.name}")

    def _in_thread(self, function: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


def _check(definition: JobDefinition) -> None:
    if not _JOB_ID.fullmatch(definition.job_id):
        raise InvalidArgument(
            "job.job_id",
            "A job id should start with a letter and contain only letters, numbers and"
            " underscores, at most 128 of them.",
        )
