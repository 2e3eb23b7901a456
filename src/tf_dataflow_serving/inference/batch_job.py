"""Batch prediction jobs: what those of every service have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tf_dataflow_serving.inference.errors import JobFailed, JobTimedOut, PredictionUnavailable
from tf_dataflow_serving.inference.polling import Polling
from tf_dataflow_serving.inference.results import Estimate

_POLLING = Polling()


class JobState(StrEnum):
    """The life of a job: those of GoogleCloudMlV1__Job.state and of Vertex AI's JobState.

    Without the STATE_ or JOB_STATE_ before some of them.
    """

    UNSPECIFIED = "UNSPECIFIED"
    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    UPDATING = "UPDATING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


_WITH_RESULTS = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED})
_FINAL = _WITH_RESULTS | {JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED}


@dataclass(frozen=True)
class BatchJob:
    """What a job is to do.

    `input_paths` are gs:// objects, wildcards allowed, an instance as JSON on each line.
    `output_path` is the gs:// prefix below which the results appear.
    """

    input_paths: Sequence[str]
    output_path: str
    max_workers: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come: instances predicted, bad lines, hours of workers' time.

    `output_directory` has the results; it is empty as long as the service does not say which.
    """

    job_id: str
    state: JobState
    predictions: int
    errors: int
    node_hours: float
    error_message: str
    output_directory: str

    @property
    def finished(self) -> bool:
        """Whether the state is one that a job stays in."""
        return self.state in _FINAL


class JobClient(Protocol):
    """Submits jobs for one model and follows them.

    All of it raises PredictionUnavailable, and PredictionRejected with the service's reason.
    """

    def submit(self, job: BatchJob) -> str:
        """Start a job and return its id."""

    def status(self, job_id: str) -> JobStatus:
        """Return how far a job has come."""

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""

    def url(self, job_id: str) -> str:
        """Return the URL of a job: GET says how far it is, POST with :cancel behind it stops it."""


class JobResults(Protocol):
    """How a service writes the results of jobs, which join to the inputs by key.

    Neither their order nor their count is guaranteed.
    """

    def pattern(self, directory: str) -> str:
        """Return which objects in a job's output directory hold them."""

    def parse(self, line: str) -> tuple[str, Estimate]:
        """Return the key and the estimate of a line; raises EndpointRefused for what is none."""


def wait(
    client: JobClient,
    job_id: str,
    timeout: float,
    progress: Callable[[JobStatus], object] = lambda _: None,
    polling: Polling = _POLLING,
) -> JobStatus:
    """Return the status of a job that has results, within `timeout` seconds.

    `progress` gets every status on the way. Raises JobFailed if the job fails or is cancelled,
    JobTimedOut, and as the client does.
    """
    for status in polling.answers(lambda: _status(client, job_id), timeout):
        progress(status)
        if status.finished:
            return _with_results(status)
    raise JobTimedOut(f"job {job_id} is {status.state} after {timeout:g} s; it goes on")


def _status(client: JobClient, job_id: str) -> JobStatus:
    try:
        return client.status(job_id)
    except PredictionUnavailable as error:
        raise PredictionUnavailable(f"job {job_id} cannot be followed: {error}") from error


def _with_results(status: JobStatus) -> JobStatus:
    if status.state not in _WITH_RESULTS:
        reason = status.error_message or "no reason given"
        raise JobFailed(f"job {status.job_id} {status.state}: {reason}")
    return status
