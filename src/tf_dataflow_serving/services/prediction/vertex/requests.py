"""What users ask Vertex AI v1 for: from JSON to the definitions of the domain."""

import re
from collections.abc import Mapping
from typing import Any

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.fields import Fields
from tf_dataflow_serving.services.prediction.proto_json import proto_name
from tf_dataflow_serving.services.prediction.registry.endpoints import EndpointDefinition, Traffic
from tf_dataflow_serving.services.prediction.registry.hosting import Deployment
from tf_dataflow_serving.services.prediction.registry.registered_models import Upload

Json = Mapping[str, Any]
_MAX_DISPLAY_NAME = 128
# What is remembered and shown again, though nothing here depends on it.
_MODEL_ATTRIBUTES: Mapping[str, type] = {
    "artifactUri": str,
    "containerSpec": dict,
    "predictSchemata": dict,
    "explanationSpec": dict,
    "encryptionSpec": dict,
    "metadataSchemaUri": str,
    "baseModelSource": dict,
}
_ENDPOINT_ATTRIBUTES: Mapping[str, type] = {
    "encryptionSpec": dict,
    "network": str,
    "predictRequestResponseLoggingConfig": dict,
}
_DEPLOYED_ATTRIBUTES: Mapping[str, type] = {
    "dedicatedResources": dict,
    "automaticResources": dict,
    "sharedResources": str,
    "explanationSpec": dict,
    "disableExplanations": bool,
    "serviceAccount": str,
    "disableContainerLogging": bool,
    "enableAccessLogging": bool,
}


def upload(parent: str, body: Json) -> Upload:
    """Return what an UploadModelRequest says; raises InvalidArgument."""
    fields = Fields(body, "")
    model = fields.section("model")
    return Upload(
        display_name=display_name(model),
        artifact_uri=_artifact_uri(model),
        model_id=fields.optional_text("modelId"),
        parent_id=_parent_id(parent, fields),
        description=model.optional_text("description"),
        version_description=model.optional_text("versionDescription"),
        aliases=model.texts("versionAliases"),
        labels=model.texts_by_name("labels"),
        attributes=model.attributes(_MODEL_ATTRIBUTES),
    )


def endpoint_definition(body: Json) -> EndpointDefinition:
    """Return what an Endpoint says of itself; raises InvalidArgument."""
    fields = Fields(body, "endpoint")
    return EndpointDefinition(
        display_name(fields),
        fields.optional_text("description"),
        fields.texts_by_name("labels"),
        fields.attributes(_ENDPOINT_ATTRIBUTES),
    )


def deployment(parent: str, body: Json) -> Deployment:
    """Return what a DeployModelRequest asks for; raises InvalidArgument."""
    fields = Fields(body, "")
    deployed = fields.section("deployedModel")
    model_id, version = model_reference(parent, deployed, "model")
    return Deployment(
        model_id=model_id,
        version=version,
        display_name=deployed.optional_text("displayName"),
        deployed_id=deployed.optional_text("id"),
        traffic=fields.percentages("trafficSplit"),
        attributes=deployed.attributes(_DEPLOYED_ATTRIBUTES),
    )


def undeployment(body: Json) -> tuple[str, Traffic]:
    """Return id and traffic split of an UndeployModelRequest; raises InvalidArgument."""
    fields = Fields(body, "")
    return fields.text("deployedModelId"), fields.percentages("trafficSplit")


def model_changes(body: Json, mask: str) -> dict[str, Any]:
    """Return what is to change of a model; raises InvalidArgument."""
    return _changes(Fields(body, "model"), mask, ("display_name", "description", "labels"))


def version_changes(body: Json, mask: str) -> dict[str, Any]:
    """Return what is to change of a version; raises InvalidArgument."""
    changes = _changes(Fields(body, "model"), mask, ("version_description", "labels"))
    if "version_description" in changes:
        changes["description"] = changes.pop("version_description")
    return changes


def endpoint_changes(body: Json, mask: str) -> tuple[dict[str, Any], Traffic | None]:
    """Return what is to change of an endpoint, and the new traffic split if there is one.

    Raises InvalidArgument.
    """
    fields = Fields(body, "endpoint")
    changes = _changes(fields, mask, ("display_name", "description", "labels", "traffic_split"))
    return changes, changes.pop("traffic_split", None)


def aliases(body: Json) -> list[str]:
    """Return the aliases of a MergeVersionAliasesRequest; raises InvalidArgument."""
    given = Fields(body, "").texts("versionAliases")
    if not given:
        raise InvalidArgument("version_aliases", "This field is required.")
    return given


def model_reference(parent: str, fields: Fields, name: str) -> tuple[str, str]:
    """Return the id in a model's name, and its version or alias if the name has one.

    Raises InvalidArgument.
    """
    match = re.fullmatch(rf"{re.escape(parent)}/models/([^/@]+)(?:@([^/@]+))?", fields.text(name))
    if match is None:
        raise fields.refuse(name, f"The form is {parent}/models/MODEL or .../MODEL@VERSION.")
    return match[1], match[2] or ""


def display_name(fields: Fields) -> str:
    """Return the name that has to be there; raises InvalidArgument."""
    name = fields.text("displayName")
    if len(name) > _MAX_DISPLAY_NAME:
        raise fields.refuse("displayName", f"At most {_MAX_DISPLAY_NAME} characters are allowed.")
    return name


def _artifact_uri(model: Fields) -> str:
    if not model.has("artifactUri"):
        raise model.refuse(
            "artifactUri", "This field is required: a SavedModel is served, a container never run."
        )
    return model.object_path("artifactUri")


def _parent_id(parent: str, fields: Fields) -> str:
    return model_reference(parent, fields, "parentModel")[0] if fields.has("parentModel") else ""


def _changes(fields: Fields, mask: str, changeable: tuple[str, ...]) -> dict[str, Any]:
    names = [proto_name(name.strip()) for name in mask.split(",") if name.strip()]
    if not names:
        raise InvalidArgument("update_mask", "This field is required.")
    for name in names:
        if name not in changeable:
            raise InvalidArgument(
                "update_mask", f"{name!r} cannot be changed here, only {', '.join(changeable)}."
            )
    return {name: _CHANGES[name](fields) for name in names}


_CHANGES: Mapping[str, Any] = {
    "display_name": display_name,
    "description": lambda fields: fields.optional_text("description"),
    "version_description": lambda fields: fields.optional_text("versionDescription"),
    "labels": lambda fields: fields.texts_by_name("labels"),
    "traffic_split": lambda fields: fields.percentages("trafficSplit"),
}
