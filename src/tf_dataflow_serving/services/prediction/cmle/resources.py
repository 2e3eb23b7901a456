"""Cloud ML Engine v1 resources as JSON (discovery document ml v1, GoogleCloudMlV1__*)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from tf_dataflow_serving.services.prediction.jobs import Job
from tf_dataflow_serving.services.prediction.models import Model, Version
from tf_dataflow_serving.services.prediction.operations import Operation

Resource = dict[str, Any]
EMPTY: Resource = {"@type": "type.googleapis.com/google.protobuf.Empty"}
_PACKAGE = "type.googleapis.com/google.cloud.ml.v1"
# google.rpc.Code: an operation that failed did so for the state of what it was given.
_FAILED_PRECONDITION = 9


class OperationType(StrEnum):
    """What an operation does, as in GoogleCloudMlV1__OperationMetadata.operationType."""

    CREATE_VERSION = "CREATE_VERSION"
    DELETE_VERSION = "DELETE_VERSION"
    DELETE_MODEL = "DELETE_MODEL"


def model_resource(project: str, model: Model) -> Resource:
    """Return a GoogleCloudMlV1__Model."""
    default = model.default
    return _present(
        name=f"projects/{project}/models/{model.name}",
        description=model.definition.description,
        regions=list(model.definition.regions),
        defaultVersion=version_resource(project, model, default) if default else None,
    )


def version_resource(project: str, model: Model, version: Version) -> Resource:
    """Return a GoogleCloudMlV1__Version."""
    return _present(
        **version.definition.attributes,
        name=f"projects/{project}/models/{model.name}/versions/{version.name}",
        deploymentUri=version.definition.deployment_uri,
        createTime=_time(version.created),
        state=str(version.state),
        errorMessage=version.error_message,
        isDefault=version is model.default,
    )


def operation_metadata(
    kind: OperationType, project: str, model: str, version: str | None = None
) -> Resource:
    """Return the part of a GoogleCloudMlV1__OperationMetadata that does not change."""
    name = f"projects/{project}/models/{model}"
    return _present(
        operationType=str(kind),
        modelName=name,
        version={"name": f"{name}/versions/{version}"} if version else None,
    )


def operation_resource(operation: Operation) -> Resource:
    """Return a GoogleLongrunning__Operation."""
    times = _present(createTime=_time(operation.created), endTime=_time(operation.ended))
    return {
        "name": operation.name,
        "metadata": {
            "@type": f"{_PACKAGE}.OperationMetadata",
            **operation.metadata,
            **times,
        },
        **(_outcome(operation) if operation.done else {}),
    }


def _outcome(operation: Operation) -> Resource:
    if operation.error is not None:
        return {
            "done": True,
            "error": {"code": _FAILED_PRECONDITION, "message": operation.error},
        }
    return {"done": True, "response": operation.response}


def job_resource(job: Job) -> Resource:
    """Return a GoogleCloudMlV1__Job; counts are int64, which is a string in Google's JSON."""
    tally = job.tally
    return _present(
        jobId=job.definition.job_id,
        predictionInput=dict(job.definition.given),
        createTime=_time(job.created),
        startTime=_time(job.started),
        endTime=_time(job.ended),
        state=str(job.state),
        errorMessage=job.error_message,
        predictionOutput={
            "outputPath": job.definition.output_directory,
            "predictionCount": str(tally.predictions),
            "errorCount": str(tally.errors.total()),
            "nodeHours": tally.node_hours,
        },
    )


def _present(**fields: object) -> Resource:
    """Leave out what is empty or false, as protobuf's JSON does."""
    return {name: value for name, value in fields.items() if value}


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None
