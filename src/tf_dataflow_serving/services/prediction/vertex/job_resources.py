"""Batch prediction jobs as JSON (aiplatform v1, BatchPredictionJob)."""

from collections.abc import Mapping

from tf_dataflow_serving.services.prediction.jobs.job import Job, JobState
from tf_dataflow_serving.services.prediction.locations import location_name
from tf_dataflow_serving.services.prediction.proto_json import Resource, present, timestamp

_STATES: Mapping[JobState, str] = {
    JobState.QUEUED: "JOB_STATE_QUEUED",
    JobState.PREPARING: "JOB_STATE_PENDING",
    JobState.RUNNING: "JOB_STATE_RUNNING",
    JobState.SUCCEEDED: "JOB_STATE_SUCCEEDED",
    JobState.FAILED: "JOB_STATE_FAILED",
    JobState.CANCELLING: "JOB_STATE_CANCELLING",
    JobState.CANCELLED: "JOB_STATE_CANCELLED",
}
# google.rpc.Code.
_CANCELLED = 1
_INVALID_ARGUMENT = 3
_FAILED_PRECONDITION = 9
# BatchPredictionJob.partial_failures.
_MAX_PARTIAL_FAILURES = 20


def job_resource(job: Job) -> Resource:
    """Return a BatchPredictionJob; counts are int64, which is a string in Google's JSON."""
    definition, tally = job.definition, job.tally
    return {
        **definition.given,
        **_model(definition.model.path),
        **present(
            name=job.name,
            state=_STATES[job.state],
            createTime=timestamp(job.created),
            startTime=timestamp(job.started),
            endTime=timestamp(job.ended),
            updateTime=timestamp(job.ended or job.started or job.created),
            error=_error(job),
            outputInfo=_output_info(job),
            partialFailures=_partial_failures(tally.errors),
            resourcesConsumed={"replicaHours": tally.node_hours},
            completionStats={
                "successfulCount": str(tally.predictions),
                "failedCount": str(tally.errors.total()),
            },
        ),
    }


def _model(path: tuple[str, ...]) -> Resource:
    project, location, model_id, version = path
    return {
        "model": f"{location_name(project, location)}/models/{model_id}",
        "modelVersionId": version,
    }


def _output_info(job: Job) -> Resource | None:
    if job.state is not JobState.SUCCEEDED:
        return None
    return {"gcsOutputDirectory": job.definition.output_directory}


def _error(job: Job) -> Resource | None:
    if job.state is JobState.CANCELLED:
        return {"code": _CANCELLED, "message": "CANCELED"}
    if job.state is JobState.FAILED:
        return {"code": _FAILED_PRECONDITION, "message": job.error_message}
    return None


def _partial_failures(errors: Mapping[str, int]) -> list[Resource]:
    """Return the first messages about instances, each with how often it came up."""
    return [
        {"code": _INVALID_ARGUMENT, "message": f"{message} (instances: {count})"}
        for message, count in sorted(errors.items())[:_MAX_PARTIAL_FAILURES]
    ]
