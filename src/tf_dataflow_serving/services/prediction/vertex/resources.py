"""Vertex AI v1 resources as JSON (google.cloud.aiplatform.v1, in the JSON form of protobuf)."""

from collections.abc import Mapping, Sequence

from tf_dataflow_serving.services.prediction.operation_json import operation_json
from tf_dataflow_serving.services.prediction.operations import Operation
from tf_dataflow_serving.services.prediction.proto_json import Resource, present, timestamp
from tf_dataflow_serving.services.prediction.registry.endpoints import DeployedModel, Endpoint
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModel,
    RegisteredVersion,
)

_PACKAGE = "type.googleapis.com/google.cloud.aiplatform.v1"


def typed(message: str, fields: Mapping[str, object]) -> Resource:
    """Return a message in a google.protobuf.Any."""
    return {"@type": f"{_PACKAGE}.{message}", **fields}


def model_resource(
    name: str,
    model: RegisteredModel,
    version: RegisteredVersion,
    deployed: Sequence[tuple[str, str]] = (),
) -> Resource:
    """Return a Model as one of its versions; `deployed` has endpoints' names and deployments' ids.

    Of labels, a version's own come before those of its model (UpdateModelRequest.model).
    """
    return present(
        **version.attributes,
        name=name,
        versionId=version.number,
        versionAliases=model.aliases_of(version.number),
        versionCreateTime=timestamp(version.created),
        versionUpdateTime=timestamp(version.updated),
        versionDescription=version.description,
        displayName=model.display_name,
        description=model.description,
        labels={**model.labels, **version.labels},
        createTime=timestamp(model.created),
        updateTime=timestamp(model.updated),
        supportedDeploymentResourcesTypes=["DEDICATED_RESOURCES"],
        supportedInputStorageFormats=["jsonl"],
        supportedOutputStorageFormats=["jsonl"],
        deployedModels=[
            {"endpoint": endpoint, "deployedModelId": deployed_id}
            for endpoint, deployed_id in deployed
        ],
    )


def endpoint_resource(parent: str, endpoint: Endpoint) -> Resource:
    """Return an Endpoint."""
    definition = endpoint.definition
    return present(
        **definition.attributes,
        name=f"{parent}/endpoints/{endpoint.id}",
        displayName=definition.display_name,
        description=definition.description,
        labels=dict(definition.labels),
        deployedModels=[
            deployed_model_resource(parent, model) for model in endpoint.deployed.values()
        ],
        trafficSplit=dict(endpoint.traffic),
        createTime=timestamp(endpoint.created),
        updateTime=timestamp(endpoint.updated),
    )


def deployed_model_resource(parent: str, model: DeployedModel) -> Resource:
    """Return a DeployedModel."""
    return present(
        **model.attributes,
        id=model.id,
        model=f"{parent}/models/{model.model_id}",
        modelVersionId=model.version,
        displayName=model.display_name,
        createTime=timestamp(model.created),
    )


def operation_resource(operation: Operation) -> Resource:
    """Return a google.longrunning.Operation; its metadata is a GenericOperationMetadata in all."""
    times = {
        "createTime": timestamp(operation.created),
        "updateTime": timestamp(operation.ended or operation.created),
    }
    return operation_json(operation, {**operation.metadata, "genericMetadata": times})
