"""Batch prediction jobs on a Cloud ML Engine v1 service (projects.jobs)."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from tf_dataflow_serving.flags import DEFAULT_LOCATION
from tf_dataflow_serving.inference.batch_job import BatchJob, JobState, JobStatus
from tf_dataflow_serving.inference.codecs import estimate_of
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import EndpointRefused
from tf_dataflow_serving.inference.results import Estimate
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.transport import Conflict, Transport

_DEFAULT_POLICY = RetryPolicy()


class CmleJobClient:
    """Submits jobs for an endpoint's model and signature and follows them.

    To join results to inputs, the signature has to pass a key through. All of it raises
    PredictionUnavailable, and PredictionRejected with the service's reason.
    """

    def __init__(
        self,
        endpoint: PredictionEndpoint,
        policy: RetryPolicy = _DEFAULT_POLICY,
        region: str = DEFAULT_LOCATION,
    ) -> None:
        self._endpoint = endpoint
        self._region = region
        self._jobs = f"/v1/projects/{endpoint.project}/jobs"
        self._transport = Transport(endpoint.url, endpoint.timeout, policy)

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
        return job_status(self._transport.get(f"{self._jobs}/{job_id}"))

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        self._transport.post(f"{self._jobs}/{job_id}:cancel", b"{}")

    def url(self, job_id: str) -> str:
        """Return the URL of a job."""
        return f"{self._endpoint.url.rstrip('/')}{self._jobs}/{job_id}"

    def _prediction_input(self, job: BatchJob) -> dict[str, object]:
        given: dict[str, object] = {
            "dataFormat": "JSON",
            "inputPaths": list(job.input_paths),
            "outputPath": job.output_path,
            "region": self._region,
            "versionName" if self._endpoint.version else "modelName": self._endpoint.resource,
            "signatureName": self._endpoint.signature_name,
            "maxWorkerCount": job.max_workers,
            "batchSize": job.batch_size,
        }
        return {name: value for name, value in given.items() if value is not None}


class CmleJobResults:
    """Lines that are the signature's outputs by name: {"predictions": [7.03], "key": "..."}."""

    def __init__(self, key_field: str) -> None:
        self._key_field = key_field

    def pattern(self, directory: str) -> str:
        """Return which objects in a job's output directory hold them."""
        return f"{directory.rstrip('/')}/prediction.results-*"

    def parse(self, line: str) -> tuple[str, Estimate]:
        """Return the key and the estimate of a line; raises EndpointRefused for what is none."""
        try:
            outputs = orjson.loads(line)
            key = outputs.pop(self._key_field)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EndpointRefused(f"not a result with a key: {line[:200]}") from error
        return key, estimate_of(outputs)


def job_status(resource: Mapping[str, Any]) -> JobStatus:
    """Read a GoogleCloudMlV1__Job; raises EndpointRefused for what is none."""
    asked = resource.get("predictionInput") or {}
    output = resource.get("predictionOutput") or {}
    try:
        return JobStatus(
            job_id=resource["jobId"],
            state=JobState(resource.get("state", JobState.UNSPECIFIED).removeprefix("STATE_")),
            predictions=int(output.get("predictionCount", 0)),
            errors=int(output.get("errorCount", 0)),
            node_hours=float(output.get("nodeHours", 0)),
            error_message=resource.get("errorMessage", ""),
            output_directory=output.get("outputPath") or asked.get("outputPath", ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EndpointRefused(f"the response is not a job: {error!r}") from error
