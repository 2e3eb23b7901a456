"""Batch prediction jobs on Vertex AI v1 (projects.locations.batchPredictionJobs)."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from tf_dataflow_serving.flags import DEFAULT_MACHINE_TYPE
from tf_dataflow_serving.inference.batch_job import BatchJob, JobState, JobStatus
from tf_dataflow_serving.inference.codecs import estimate_of
from tf_dataflow_serving.inference.endpoint import VertexModel
from tf_dataflow_serving.inference.errors import EndpointRefused
from tf_dataflow_serving.inference.results import Estimate
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.transport import Transport

_DEFAULT_POLICY = RetryPolicy()


class VertexJobClient:
    """Submits jobs for a model and follows them; a job's id is its whole resource name.

    `key_field` is the field of the instances that results have in place of the instance; the
    model does not see it. Without one they have the instance. All of it raises
    PredictionUnavailable, and PredictionRejected with the service's reason.
    """

    def __init__(
        self,
        model: VertexModel,
        key_field: str | None,
        policy: RetryPolicy = _DEFAULT_POLICY,
        machine_type: str = DEFAULT_MACHINE_TYPE,
    ) -> None:
        self._model = model
        self._key_field = key_field
        self._machine_type = machine_type
        self._jobs = f"/v1/{model.parent}/batchPredictionJobs"
        self._transport = Transport(model.url, model.timeout, policy)

    def require_model(self) -> None:
        """Ask for the model; raises MissingResource if there is none."""
        self._transport.get(f"/v1/{self._model.resource}")

    def submit(self, job: BatchJob) -> str:
        """Start a job and return its id.

        The service chooses the id. An answer that is lost on the way is looked for by the job's
        display name, which no other job has, before the job is submitted again. Only if the
        service begins a job later than that, after its answer was given up, are there two; the
        results of the one whose id is returned are complete either way.
        """
        name = f"{self._model.model}_{uuid.uuid4().hex}"
        body = orjson.dumps(self._resource(job, name))
        return self._transport.persist(lambda: self._found(name) or self._created(body))

    def status(self, job_id: str) -> JobStatus:
        """Return how far a job has come."""
        return job_status(self._transport.get(f"/v1/{job_id}"))

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        self._transport.post(f"/v1/{job_id}:cancel", b"{}")

    def url(self, job_id: str) -> str:
        """Return the URL of a job."""
        return f"{self._model.url.rstrip('/')}/v1/{job_id}"

    def _found(self, display_name: str) -> str | None:
        query = urlencode({"filter": f'display_name="{display_name}"'})
        found = self._transport.get_once(f"{self._jobs}?{query}").get("batchPredictionJobs")
        return _name(found[0]) if found else None

    def _created(self, body: bytes) -> str:
        return _name(self._transport.post_once(self._jobs, body))

    def _resource(self, job: BatchJob, display_name: str) -> dict[str, object]:
        resource: dict[str, object] = {
            "displayName": display_name,
            "model": self._model.resource,
            "inputConfig": {
                "instancesFormat": "jsonl",
                "gcsSource": {"uris": list(job.input_paths)},
            },
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": job.output_path},
            },
            "dedicatedResources": self._dedicated_resources(job),
        }
        if self._key_field is not None:
            resource["instanceConfig"] = {"keyField": self._key_field}
        if job.batch_size is not None:
            resource["manualBatchTuningParameters"] = {"batchSize": job.batch_size}
        return resource

    def _dedicated_resources(self, job: BatchJob) -> dict[str, object]:
        resources: dict[str, object] = {"machineSpec": {"machineType": self._machine_type}}
        if job.max_workers is not None:
            resources |= {"startingReplicaCount": 1, "maxReplicaCount": job.max_workers}
        return resources


class VertexJobResults:
    """Lines as InstanceConfig.key_field makes them: {"key": "...", "prediction": [7.03]}."""

    def pattern(self, directory: str) -> str:
        """Return which objects in a job's output directory hold them.

        They are predictions_0001.jsonl by OutputConfig.gcs_destination, and
        prediction.results-00000-of-00001 for custom models; not prediction.errors_stats.
        """
        return f"{directory.rstrip('/')}/prediction[.s][r_]*"

    def parse(self, line: str) -> tuple[str, Estimate]:
        """Return the key and the estimate of a line; raises EndpointRefused for what is none."""
        try:
            result = orjson.loads(line)
            return result["key"], estimate_of(result["prediction"])
        except (KeyError, TypeError, ValueError) as error:
            raise EndpointRefused(f"not a result with a key: {line[:200]}") from error


def job_status(resource: Mapping[str, Any]) -> JobStatus:
    """Read a BatchPredictionJob; raises EndpointRefused for what is none."""
    try:
        counted = resource.get("completionStats") or {}
        state = resource.get("state", JobState.UNSPECIFIED)
        return JobStatus(
            job_id=_name(resource),
            state=JobState(state.removeprefix("JOB_STATE_")),
            predictions=int(counted.get("successfulCount", 0)),
            errors=int(counted.get("failedCount", 0)),
            node_hours=float((resource.get("resourcesConsumed") or {}).get("replicaHours", 0)),
            error_message=(resource.get("error") or {}).get("message", ""),
            output_directory=(resource.get("outputInfo") or {}).get("gcsOutputDirectory", ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EndpointRefused(f"the response is not a job: {error!r}") from error


def _name(resource: Mapping[str, Any]) -> str:
    try:
        name: str = resource["name"]
    except (KeyError, TypeError) as error:
        raise EndpointRefused(f"the response is not a job: {error!r}") from error
    return name
