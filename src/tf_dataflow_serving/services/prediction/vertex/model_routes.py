"""The model registry: ModelService of aiplatform v1."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.http_json import (
    json_response,
    parse_object,
    read_body,
)
from tf_dataflow_serving.services.prediction.proto_json import EMPTY, Resource
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModel,
    RegisteredVersion,
    Upload,
)
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.vertex import requests
from tf_dataflow_serving.services.prediction.vertex.listing import filtered_page
from tf_dataflow_serving.services.prediction.vertex.paths import parent, split_version
from tf_dataflow_serving.services.prediction.vertex.resources import (
    model_resource,
    operation_resource,
    typed,
)

_MODEL = "/models/{model}"


def routes(service: PredictionService) -> list[Route]:
    """Return the methods of models; custom methods come before what they look like."""
    api = _Models(service)
    return [
        Route("/models:upload", api.upload, methods=["POST"]),
        Route("/models", api.list, methods=["GET"]),
        Route(f"{_MODEL}:listVersions", api.list_versions, methods=["GET"]),
        Route(f"{_MODEL}:mergeVersionAliases", api.merge_aliases, methods=["POST"]),
        Route(f"{_MODEL}:deleteVersion", api.delete_version, methods=["DELETE"]),
        Route(_MODEL, api.get, methods=["GET"]),
        Route(_MODEL, api.update, methods=["PATCH"]),
        Route(_MODEL, api.delete, methods=["DELETE"]),
    ]


class _Models:
    def __init__(self, service: PredictionService) -> None:
        self._hosting = service.hosting
        self._models = service.hosting.models
        self._operations = service.operations

    async def upload(self, request: Request) -> Response:
        location = parent(request)
        upload = requests.upload(location, parse_object(await read_body(request)))
        self._models.check(location, upload)
        model_id = self._models.model_id(upload)
        name = f"{location}/models/{model_id}"
        operation = self._operations.start(
            f"{name}/operations/",
            typed("UploadModelOperationMetadata", {}),
            self._upload(location, model_id, upload),
        )
        return json_response(operation_resource(operation))

    async def _upload(self, location: str, model_id: str, upload: Upload) -> Resource:
        version = await self._hosting.upload(location, model_id, upload)
        response = {
            "model": f"{location}/models/{model_id}",
            "modelVersionId": version.number,
        }
        return typed("UploadModelResponse", response)

    async def list(self, request: Request) -> Response:
        location = parent(request)
        resources = [
            self._resource(location, model, model.version())
            for model in self._models.models(location)
        ]
        return filtered_page(request, "models", resources)

    async def list_versions(self, request: Request) -> Response:
        location, (model_id, _) = parent(request), _name(request)
        model = self._models.model(location, model_id)
        resources = [
            self._versioned_resource(location, model, version)
            for version in model.versions.values()
        ]
        return filtered_page(request, "models", resources)

    async def get(self, request: Request) -> Response:
        location, (model_id, version) = parent(request), _name(request)
        return self._answer(location, self._models.model(location, model_id), version)

    async def update(self, request: Request) -> Response:
        location, (model_id, version) = parent(request), _name(request)
        body = parse_object(await read_body(request))
        mask = request.query_params.get("updateMask", "")
        if version:
            changes = requests.version_changes(body, mask)
            model = self._models.update_version(location, model_id, version, changes)
        else:
            model = self._models.update(location, model_id, requests.model_changes(body, mask))
        return self._answer(location, model, version)

    async def merge_aliases(self, request: Request) -> Response:
        location, (model_id, version) = parent(request), _version_name(request)
        changes = requests.aliases(parse_object(await read_body(request)))
        number = self._models.version(location, model_id, version).number
        model = self._models.merge_aliases(location, model_id, number, changes)
        return self._answer(location, model, number)

    async def delete(self, request: Request) -> Response:
        location, (model_id, _) = parent(request), _name(request)
        self._hosting.delete_model(location, model_id)
        return self._deleted(location, model_id)

    async def delete_version(self, request: Request) -> Response:
        location, (model_id, version) = parent(request), _version_name(request)
        self._hosting.delete_version(location, model_id, version)
        return self._deleted(location, model_id)

    def _deleted(self, location: str, model_id: str) -> Response:
        operation = self._operations.completed(
            f"{location}/models/{model_id}/operations/",
            typed("DeleteOperationMetadata", {}),
            EMPTY,
        )
        return json_response(operation_resource(operation))

    def _answer(self, location: str, model: RegisteredModel, reference: str) -> Response:
        """Return a model under the name that was asked for, with a version or without one."""
        if reference:
            version = model.version(reference)
            return json_response(self._versioned_resource(location, model, version))
        return json_response(self._resource(location, model, model.version()))

    def _resource(
        self, location: str, model: RegisteredModel, version: RegisteredVersion
    ) -> Resource:
        name = f"{location}/models/{model.id}"
        return model_resource(name, model, version, self._deployed(location, model, version))

    def _versioned_resource(
        self, location: str, model: RegisteredModel, version: RegisteredVersion
    ) -> Resource:
        name = f"{location}/models/{model.id}@{version.number}"
        return model_resource(name, model, version, self._deployed(location, model, version))

    def _deployed(
        self, location: str, model: RegisteredModel, version: RegisteredVersion
    ) -> Sequence[tuple[str, str]]:
        return [
            (f"{location}/endpoints/{endpoint.id}", deployed.id)
            for endpoint, deployed in self._hosting.endpoints.deployments(location, model.id)
            if deployed.version == version.number
        ]


def _name(request: Request) -> tuple[str, str]:
    return split_version(request.path_params["model"])


def _version_name(request: Request) -> tuple[str, str]:
    model_id, version = _name(request)
    if not version:
        raise InvalidArgument("name", "The name of a version is expected: .../MODEL@VERSION.")
    return model_id, version
