"""Cloud ML Engine v1: models, versions, online prediction, batch jobs, operations.

Paths and bodies are those of the discovery document ml v1. The service itself was shut down on
2025-01-31; what its documents leave open is as its users have recorded it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.cmle.requests import (
    job_definition,
    model_definition,
    version_definition,
)
from tf_dataflow_serving.services.prediction.cmle.resources import (
    OperationType,
    job_resource,
    model_resource,
    operation_metadata,
    operation_resource,
    version_resource,
)
from tf_dataflow_serving.services.prediction.errors import (
    InvalidArgument,
    MalformedRequest,
    PredictionFailed,
)
from tf_dataflow_serving.services.prediction.http_json import (
    json_response,
    parse_object,
    raw_json_response,
    read_body,
)
from tf_dataflow_serving.services.prediction.pages import page
from tf_dataflow_serving.services.prediction.proto_json import EMPTY, Resource
from tf_dataflow_serving.services.prediction.registry.models import Version
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

_MODELS = "/v1/projects/{project}/models"
_MODEL = f"{_MODELS}/{{model}}"
_VERSIONS = f"{_MODEL}/versions"
_VERSION = f"{_VERSIONS}/{{version}}"
_JOBS = "/v1/projects/{project}/jobs"
_JOB = f"{_JOBS}/{{job}}"
_OPERATION = "/v1/projects/{project}/operations/{operation}"


def routes(service: PredictionService) -> list[Route]:
    """Return the routes of the protocol; custom methods come before what they look like."""
    api = _CloudMlEngine(service)
    return [
        Route(f"{_VERSION}:predict", api.predict, methods=["POST"]),
        Route(f"{_MODEL}:predict", api.predict, methods=["POST"]),
        Route(f"{_VERSION}:setDefault", api.set_default_version, methods=["POST"]),
        Route(_MODELS, api.create_model, methods=["POST"]),
        Route(_MODELS, api.list_models, methods=["GET"]),
        Route(_MODEL, api.get_model, methods=["GET"]),
        Route(_MODEL, api.delete_model, methods=["DELETE"]),
        Route(_VERSIONS, api.create_version, methods=["POST"]),
        Route(_VERSIONS, api.list_versions, methods=["GET"]),
        Route(_VERSION, api.get_version, methods=["GET"]),
        Route(_VERSION, api.delete_version, methods=["DELETE"]),
        Route(f"{_JOB}:cancel", api.cancel_job, methods=["POST"]),
        Route(_JOBS, api.create_job, methods=["POST"]),
        Route(_JOBS, api.list_jobs, methods=["GET"]),
        Route(_JOB, api.get_job, methods=["GET"]),
        Route(_OPERATION, api.get_operation, methods=["GET"]),
    ]


class _CloudMlEngine:
    def __init__(self, service: PredictionService) -> None:
        self._service = service
        self._models = service.models
        self._jobs = service.jobs

    async def predict(self, request: Request) -> Response:
        path = request.path_params
        body = await read_body(request)
        saved_model = self._models.serving(path["project"], path["model"], path.get("version"))
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._service.predictors, _predict, saved_model, body)
        return raw_json_response(answer)

    async def create_model(self, request: Request) -> Response:
        project = request.path_params["project"]
        definition = model_definition(await _object(request))
        return json_response(
            model_resource(project, self._models.create_model(project, definition))
        )

    async def list_models(self, request: Request) -> Response:
        project = request.path_params["project"]
        resources = [model_resource(project, model) for model in self._models.models(project)]
        return _page(request, "models", resources)

    async def get_model(self, request: Request) -> Response:
        path = request.path_params
        model = self._models.model(path["project"], path["model"])
        return json_response(model_resource(path["project"], model))

    async def delete_model(self, request: Request) -> Response:
        project, model = request.path_params["project"], request.path_params["model"]
        self._models.delete_model(project, model)
        return self._completed(OperationType.DELETE_MODEL, project, model)

    async def create_version(self, request: Request) -> Response:
        project, model = request.path_params["project"], request.path_params["model"]
        definition = version_definition(await _object(request))
        version = self._models.create_version(project, model, definition)
        kind = OperationType.CREATE_VERSION
        operation = self._service.operations.start(
            _operation_prefix(kind, project, model, version.name),
            operation_metadata(kind, project, model, version.name),
            self._deploy(project, version),
        )
        return json_response(operation_resource(operation))

    async def list_versions(self, request: Request) -> Response:
        path = request.path_params
        model = self._models.model(path["project"], path["model"])
        resources = [
            version_resource(path["project"], model, version) for version in model.versions.values()
        ]
        return _page(request, "versions", resources)

    async def get_version(self, request: Request) -> Response:
        path = request.path_params
        model = self._models.model(path["project"], path["model"])
        version = model.version(path["version"])
        return json_response(version_resource(path["project"], model, version))

    async def delete_version(self, request: Request) -> Response:
        path = request.path_params
        project, model, version = path["project"], path["model"], path["version"]
        deleted = self._models.delete_version(project, model, version)
        self._service.artifacts.discard(deleted.artifact)
        return self._completed(OperationType.DELETE_VERSION, project, model, version)

    async def set_default_version(self, request: Request) -> Response:
        path = request.path_params
        version = self._models.set_default(path["project"], path["model"], path["version"])
        model = self._models.model(path["project"], path["model"])
        return json_response(version_resource(path["project"], model, version))

    async def create_job(self, request: Request) -> Response:
        project = request.path_params["project"]
        definition = job_definition(project, await _object(request), self._models)
        return json_response(job_resource(self._jobs.submit(definition)))

    async def list_jobs(self, request: Request) -> Response:
        jobs = self._jobs.jobs(f"projects/{request.path_params['project']}/jobs")
        return _page(request, "jobs", [job_resource(job) for job in jobs])

    async def get_job(self, request: Request) -> Response:
        return json_response(job_resource(self._jobs.get(_job_name(request))))

    async def cancel_job(self, request: Request) -> Response:
        self._jobs.cancel(_job_name(request))
        return json_response({})

    async def get_operation(self, request: Request) -> Response:
        path = request.path_params
        name = f"projects/{path['project']}/operations/{path['operation']}"
        return json_response(operation_resource(self._service.operations.get(name)))

    async def _deploy(self, project: str, version: Version) -> Resource:
        await self._service.deploy(project, version)
        return EMPTY

    def _completed(
        self, kind: OperationType, project: str, model: str, version: str | None = None
    ) -> Response:
        operation = self._service.operations.completed(
            _operation_prefix(kind, project, model, version),
            operation_metadata(kind, project, model, version),
            EMPTY,
        )
        return json_response(operation_resource(operation))


def _job_name(request: Request) -> str:
    path = request.path_params
    return f"projects/{path['project']}/jobs/{path['job']}"


def _operation_prefix(kind: OperationType, project: str, model: str, version: str | None) -> str:
    subject = "_".join(part for part in (model, version) if part)
    return f"projects/{project}/operations/{kind.lower()}_{subject}-"


def _predict(saved_model: SavedModel, body: bytes) -> bytes:
    """Return the response's body.

    One instance that fails fails all, and does so with status 200: the body has `error` in place
    of `predictions` (Cloud ML Engine, "Predict request details", response body).
    """
    request = parse_object(body)
    signature_name, instances = _prediction_input(request)
    try:
        predictions = saved_model.signature(signature_name).predict(instances)
    except PredictionFailed as error:
        return orjson.dumps({"error": f"Prediction failed: {error}"})
    return orjson.dumps({"predictions": predictions})


def _prediction_input(request: dict[str, Any]) -> tuple[str | None, list[object]]:
    instances = request.get("instances")
    if not isinstance(instances, list):
        raise MalformedRequest('The request needs "instances", a list.')
    signature_name = request.get("signature_name")
    if not isinstance(signature_name, str | None):
        raise MalformedRequest('"signature_name" has to be a string.')
    return signature_name, instances


async def _object(request: Request) -> dict[str, Any]:
    return parse_object(await read_body(request))


def _page(request: Request, name: str, resources: Sequence[Resource]) -> Response:
    if request.query_params.get("filter"):
        raise InvalidArgument("filter", "Filters are not supported.")
    return json_response(page(request.query_params, name, resources))
