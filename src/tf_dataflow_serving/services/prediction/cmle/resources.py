"""Cloud ML Engine v1 resources as JSON (discovery document ml v1, GoogleCloudMlV1__*)."""

from enum import StrEnum

from tf_dataflow_serving.services.prediction.jobs.job import Job
from tf_dataflow_serving.services.prediction.operation_json import operation_json
from tf_dataflow_serving.services.prediction.operations import Operation
from tf_dataflow_serving.services.prediction.proto_json import Resource, present, timestamp
from tf_dataflow_serving.services.prediction.registry.models import Model, Version

_PACKAGE = "type.googleapis.com/google.cloud.ml.v1"


class OperationType(StrEnum):
    """What an operation does, as in GoogleCloudMlV1__OperationMetadata.operationType."""

    CREATE_VERSION = "CREATE_VERSION"
    DELETE_VERSION = "DELETE_VERSION"
    DELETE_MODEL = "DELETE_MODEL"


def model_resource(project: str, model: Model) -> Resource:
    """Return a GoogleCloudMlV1__Model."""
    default = model.default
    return present(
        name=f"projects/{project}/models/{model.name}",
        description=model.definition.description,
        regions=list(model.definition.regions),
        defaultVersion=version_resource(project, model, default) if default else None,
    )


def version_resource(project: str, model: Model, version: Version) -> Resource:
    """Return a GoogleCloudMlV1__Version."""
    return present(
        **version.definition.attributes,
        name=f"projects/{project}/models/{model.name}/versions/{version.name}",
        deploymentUri=version.definition.deployment_uri,
        createTime=timestamp(version.created),
        state=str(version.state),
        errorMessage=version.error_message,
        isDefault=version is model.default,
    )


def operation_metadata(
    kind: OperationType, project: str, model: str, version: str | None = None
) -> Resource:
    """Return the part of a GoogleCloudMlV1__OperationMetadata that does not change."""
    name = f"projects/{project}/models/{model}"
    return present(
        operationType=str(kind),
        modelName=name,
        version={"name": f"{name}/versions/{version}"} if version else None,
    )


def operation_resource(operation: Operation) -> Resource:
    """Return a GoogleLongrunning__Operation."""
    times = present(createTime=timestamp(operation.created), endTime=timestamp(operation.ended))
    message = f"{_PACKAGE}.OperationMetadata"
    return operation_json(operation, {"@type": message, **operation.metadata, **times})


def job_resource(job: Job) -> Resource:
    """Return a GoogleCloudMlV1__Job; counts are int64, which is a string in Google's JSON."""
    tally = job.tally
    return present(
        **job.definition.given,
        jobId=job.definition.job_id,
        createTime=timestamp(job.created),
        startTime=timestamp(job.started),
        endTime=timestamp(job.ended),
        state=str(job.state),
        errorMessage=job.error_message,
        predictionOutput={
            "outputPath": job.definition.output_directory,
            "predictionCount": str(tally.predictions),
            "errorCount": str(tally.errors.total()),
            "nodeHours": tally.node_hours,
        },
    )
