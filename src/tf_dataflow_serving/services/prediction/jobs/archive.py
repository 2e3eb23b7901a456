"""What there is of jobs outside of memory: documents, and the files of results so far."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.jobs.documents import (
    Document,
    Plan,
    job_document,
    job_of,
    plan_document,
    plan_of,
    progress_document,
    progress_of,
)
from tf_dataflow_serving.services.prediction.jobs.job import Job, Progress, Worker

_JOBS = "jobs"
_PLANS = "job_plans"
_PROGRESS = "job_progress"


@dataclass(frozen=True)
class JobArchive:
    """A document for each job, and while it has not ended, for its plan and for each worker.

    What a worker wrote below `root` counts as far as its document says, which is saved later.
    """

    documents: Documents
    root: Path

    def load(self) -> list[Job]:
        """Return all jobs, the oldest first, with what their workers had done."""
        saved = self.documents.all(_JOBS).values()
        plans = self.documents.all(_PLANS)
        progress = self.documents.all(_PROGRESS)
        jobs = sorted((job_of(document) for document in saved), key=lambda job: job.created)
        for job in jobs:
            if job.workspace in plans:
                workers = plan_of(plans[job.workspace]).workers()
                self._restore(job, workers, progress)
        return jobs

    def save(self, job: Job) -> None:
        """Remember the job without its workers."""
        self.documents.put(_JOBS, job.name, job_document(job))

    def save_plan(self, job: Job, plan: Plan) -> None:
        """Remember how the job's work is cut up."""
        self.documents.put(_PLANS, job.workspace, plan_document(plan))

    def save_progress(self, job: Job, index: int, progress: Progress) -> None:
        """Remember what one of the job's workers has done."""
        self.documents.put(_PROGRESS, _key(job, index), progress_document(progress))

    def directory(self, job: Job) -> Path:
        """Return where the job's workers write, now there if it was not."""
        path = self.root / job.workspace
        path.mkdir(parents=True, exist_ok=True)
        return path

    def free_disk(self, job: Job) -> None:
        """Delete the files of the job's workers, which begin again without them."""
        shutil.rmtree(self.root / job.workspace, ignore_errors=True)

    def discard_work(self, job: Job, workers: int) -> None:
        """Delete all that only so many workers needed; the plan last, which tells that it was."""
        self.free_disk(job)
        for index in range(workers):
            self.documents.delete(_PROGRESS, _key(job, index))
        self.documents.delete(_PLANS, job.workspace)

    def delete(self, job: Job) -> None:
        """Forget a job that has ended."""
        self.documents.delete(_JOBS, job.name)

    def _restore(
        self, job: Job, workers: Sequence[Worker], progress: Mapping[str, Document]
    ) -> None:
        if job.finished:
            self.discard_work(job, len(workers))
            return
        job.workers = workers
        for index, worker in enumerate(workers):
            if _key(job, index) in progress:
                worker.progress = progress_of(progress[_key(job, index)])


def _key(job: Job, index: int) -> str:
    return f"{job.workspace}/{index}"
