"""All batch prediction jobs of the service."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    JobStopped,
    ModelUnusable,
    NotFound,
    PredictionFailed,
    ResourceError,
    StorageFailed,
)
from tf_dataflow_serving.services.prediction.jobs.job import Job, JobDefinition, JobState
from tf_dataflow_serving.services.prediction.jobs.runs import JobRuns

_FAILURES = (ResourceError, StorageFailed, ModelUnusable, PredictionFailed)
_log = logging.getLogger(__name__)


class BatchJobs:
    """The jobs by their names, those of earlier starts of the service among them.

    `concurrent` of them have a model in memory and run at a time. `new_workspace` names what no
    other job has written. All of it is for the event loop.
    """

    def __init__(self, runs: JobRuns, concurrent: int, new_workspace: Callable[[], str]) -> None:
        self._runs = runs
        self._new_workspace = new_workspace
        self._archive = runs.archive
        self._places = asyncio.Semaphore(concurrent)
        self._jobs = {job.name: job for job in self._archive.load()}
        self._running: set[asyncio.Task[None]] = set()
        self._closing = threading.Event()

    def resume(self) -> None:
        """Go on with all jobs that have not ended."""
        for job in self._jobs.values():
            if not job.finished:
                self._start(job)

    def submit(self, definition: JobDefinition) -> Job:
        """Queue a job; raises AlreadyExists."""
        if definition.name in self._jobs:
            raise AlreadyExists("name", f'The job "{definition.job_id}" exists already.')
        job = Job(definition, self._runs.clock(), self._new_workspace())
        self._archive.save(job)
        self._jobs[job.name] = job
        self._start(job)
        return job

    def get(self, name: str) -> Job:
        """Return the job of that full name; raises NotFound."""
        try:
            return self._jobs[name]
        except KeyError:
            job_id = name.rpartition("/")[2]
            raise NotFound("name", f'The job "{job_id}" was not found.') from None

    def jobs(self, collection: str) -> list[Job]:
        """Return the jobs of a collection, such as projects/P/jobs, the latest first."""
        found = [job for job in self._jobs.values() if job.definition.collection == collection]
        return found[::-1]

    def output_directories(self) -> set[str]:
        """Return the gs:// URIs that jobs have their results below."""
        return {job.definition.output_directory for job in self._jobs.values()}

    def cancel(self, name: str) -> None:
        """Ask a job to stop; it is CANCELLED once its workers have noticed.

        Raises NotFound, or FailedPrecondition for a job that has ended.
        """
        job = self.get(name)
        if job.finished:
            raise FailedPrecondition(
                "name", f'The job "{job.definition.job_id}" has ended: {job.state}.'
            )
        if job.state is JobState.QUEUED:
            self._end(job, JobState.CANCELLED)
        else:
            job.state = JobState.CANCELLING
            self._archive.save(job)
        self._stop(job)

    def delete(self, name: str) -> None:
        """Forget a job; raises NotFound, or FailedPrecondition for one that has not ended."""
        job = self.get(name)
        if not job.finished:
            raise FailedPrecondition(
                "name", f'The job "{job.definition.job_id}" has not ended: {job.state}.'
            )
        self._archive.delete(job)
        del self._jobs[name]

    async def close(self) -> None:
        """Stop all work and wait until it has; the jobs are not cancelled by that."""
        self._closing.set()
        for job in self._jobs.values():
            self._stop(job)
        await asyncio.gather(*self._running)

    def _start(self, job: Job) -> None:
        if job.state is JobState.CANCELLING:
            job.stop.set()
        task = asyncio.create_task(self._run(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _stop(self, job: Job) -> None:
        job.stop.set()
        self._runs.threads.withdraw(job.name)

    async def _run(self, job: Job) -> None:
        try:
            await self._run_or_cancel(job)
        except JobStopped:
            _log.info("job %s was stopped where it was, by the end of the service", job.name)
        except _FAILURES as error:
            self._end(job, JobState.FAILED, str(error))
        except (OSError, sqlite3.Error) as error:
            self._archive.free_disk(job)
            self._end(job, JobState.FAILED, f"The service cannot keep the job's work: {error}")
        except Exception:
            _log.exception("job %s", job.name)
            self._end(job, JobState.FAILED, "Internal error encountered.")

    async def _run_or_cancel(self, job: Job) -> None:
        try:
            async with self._places:
                await self._runs.run(job)
        except JobStopped:
            await self._cancelled(job)
        else:
            self._end(job, JobState.SUCCEEDED)

    async def _cancelled(self, job: Job) -> None:
        """End a job that its user has cancelled; raises JobStopped for one that nobody has."""
        if job.state is JobState.CANCELLING:
            await self._runs.withdraw(job, self._closing)
            self._end(job, JobState.CANCELLED)
        elif not job.finished:
            raise JobStopped

    def _end(self, job: Job, state: JobState, reason: str = "") -> None:
        workers = len(job.workers)
        job.end(state, self._runs.clock(), reason)
        self._archive.save(job)
        self._archive.discard_work(job, workers)
