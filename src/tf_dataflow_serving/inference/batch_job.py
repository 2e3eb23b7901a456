"""Batch prediction jobs on a Cloud ML Engine v1 service (projects.jobs)."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import orjson

from tf_dataflow_serving.inference.codecs import parse_object
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import EndpointRefused, JobFailed, JobTimedOut
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.transport import Conflict, Transport

_DEFAULT_POLICY = RetryPolicy()
_FIRST_POLL_SECONDS = 0.05
_LONGEST_POLL_SECONDS = 5.0
_POLL_GROWTH = 1.5


class JobState(StrEnum):
    """The life of a job, as in GoogleCloudMlV1__Job.state."""

    STATE_UNSPECIFIED = "STATE_UNSPECIFIED"
    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True)
class BatchJob:
    """What a job is to do.

    `input_paths` are gs:// objects, wildcards allowed, an instance as JSON on each line.
    `output_path` is the gs:// prefix below which prediction.results-* appear. To join results to
    inputs, name a signature that passes a key through: neither order nor count is guaranteed.
    """

    input_paths: Sequence[str]
    output_path: str
    signature_name: str | None = None
    region: str = "us-central1"
    max_workers: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come: instances predicted, bad lines, hours of workers' time."""

    job_id: str
    state: JobState
    predictions: int
    errors: int
    node_hours: float
    error_message: str

    @property
    def finished(self) -> bool:
        """Whether the state is one that a job stays in."""
        return self.state in _FINAL

    @classmethod
    def from_resource(cls, resource: dict[str, Any]) -> Self:
        """Read a GoogleCloudMlV1__Job; raises EndpointRefused for what is none."""
        output = resource.get("predictionOutput") or {}
        try:
            return cls(
                job_id=resource["jobId"],
                state=JobState(resource.get("state", JobState.STATE_UNSPECIFIED)),
                predictions=int(output.get("predictionCount", 0)),
                errors=int(output.get("errorCount", 0)),
                node_hours=float(output.get("nodeHours", 0)),
                error_message=resource.get("errorMessage", ""),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EndpointRefused(f"the response is not a job: {error!r}") from error


class BatchJobClient:
    """Submits jobs for an endpoint's model and follows them; `sleep`, `clock` are in seconds.

    All of it raises PredictionUnavailable, and PredictionRejected with the service's reason.
    """

    def __init__(
        self,
        endpoint: PredictionEndpoint,
        policy: RetryPolicy = _DEFAULT_POLICY,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._jobs = f"/v1/projects/{endpoint.project}/jobs"
        self._transport = Transport(endpoint.url, endpoint.timeout, policy)
        self._clock = clock
        self._sleep = sleep

    def submit(self, job: BatchJob) -> str:
        """Start a job and return its id."""
        job_id = f"{self._endpoint.model}_{uuid.uuid4().hex}"
        body = {"jobId": job_id, "predictionInput": self._prediction_input(job)}
        # Nobody else has that id: if it exists, an earlier try got through and its answer not.
        with suppress(Conflict):
            self._transport.post(self._jobs, orjson.dumps(body))
        return job_id

    def status(self, job_id: str) -> JobStatus:
        """Return how far a job has come."""
        return JobStatus.from_resource(parse_object(self._transport.get(f"{self._jobs}/{job_id}")))

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        self._transport.post(f"{self._jobs}/{job_id}:cancel", b"{}")

    def wait(
        self,
        job_id: str,
        timeout: float,
        progress: Callable[[JobStatus], object] = lambda _: None,
    ) -> JobStatus:
        """Return the status of a job that has succeeded, within `timeout` seconds.

        `progress` gets every status on the way. Raises JobFailed if the job fails or is
        cancelled, JobTimedOut.
        """
        end = self._clock() + timeout
        pauses = _pauses()
        progress(status := self.status(job_id))
        while not status.finished:
            pause = next(pauses)
            if self._clock() + pause > end:
                raise JobTimedOut(f"job {job_id} is {status.state} after {timeout:g} s")
            self._sleep(pause)
            progress(status := self.status(job_id))
        return _succeeded(status)

    def _prediction_input(self, job: BatchJob) -> dict[str, object]:
        given: dict[str, object] = {
            "dataFormat": "JSON",
            "inputPaths": list(job.input_paths),
            "outputPath": job.output_path,
            "region": job.region,
            "versionName" if self._endpoint.version else "modelName": self._endpoint.resource,
            "signatureName": job.signature_name,
            "maxWorkerCount": job.max_workers,
            "batchSize": job.batch_size,
        }
        return {name: value for name, value in given.items() if value is not None}


def _pauses() -> Iterator[float]:
    """Yield the seconds between polls; the API has nothing to wait on."""
    pause = _FIRST_POLL_SECONDS
    while True:
        yield pause
        pause = min(pause * _POLL_GROWTH, _LONGEST_POLL_SECONDS)


def _succeeded(status: JobStatus) -> JobStatus:
    if status.state is not JobState.SUCCEEDED:
        reason = status.error_message or "no reason given"
        raise JobFailed(f"job {status.job_id} {status.state}: {reason}")
    return status
