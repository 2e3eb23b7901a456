"""Endpoints and what is deployed on them: EndpointService of aiplatform v1."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.http_json import (
    json_response,
    parse_object,
    read_body,
)
from tf_dataflow_serving.services.prediction.proto_json import EMPTY, Resource
from tf_dataflow_serving.services.prediction.registry.hosting import Deployment
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.vertex import requests
from tf_dataflow_serving.services.prediction.vertex.listing import filtered_page
from tf_dataflow_serving.services.prediction.vertex.paths import parent
from tf_dataflow_serving.services.prediction.vertex.resources import (
    deployed_model_resource,
    endpoint_resource,
    operation_resource,
    typed,
)

_ENDPOINT = "/endpoints/{endpoint}"


def routes(service: PredictionService) -> list[Route]:
    """Return the methods of endpoints; custom methods come before what they look like."""
    api = _Endpoints(service)
    return [
        Route("/endpoints", api.create, methods=["POST"]),
        Route("/endpoints", api.list, methods=["GET"]),
        Route(f"{_ENDPOINT}:deployModel", api.deploy, methods=["POST"]),
        Route(f"{_ENDPOINT}:undeployModel", api.undeploy, methods=["POST"]),
        Route(_ENDPOINT, api.get, methods=["GET"]),
        Route(_ENDPOINT, api.update, methods=["PATCH"]),
        Route(_ENDPOINT, api.delete, methods=["DELETE"]),
    ]


class _Endpoints:
    def __init__(self, service: PredictionService) -> None:
        self._hosting = service.hosting
        self._endpoints = service.hosting.endpoints
        self._operations = service.operations

    async def create(self, request: Request) -> Response:
        location = parent(request)
        definition = requests.endpoint_definition(parse_object(await read_body(request)))
        endpoint = self._endpoints.create(location, _requested_id(request), definition)
        return self._completed(
            f"{location}/endpoints/{endpoint.id}",
            "CreateEndpointOperationMetadata",
            typed("Endpoint", endpoint_resource(location, endpoint)),
        )

    async def list(self, request: Request) -> Response:
        location = parent(request)
        endpoints = self._endpoints.endpoints(location)
        return filtered_page(
            request, "endpoints", [endpoint_resource(location, endpoint) for endpoint in endpoints]
        )

    async def get(self, request: Request) -> Response:
        location = parent(request)
        endpoint = self._endpoints.endpoint(location, request.path_params["endpoint"])
        return json_response(endpoint_resource(location, endpoint))

    async def update(self, request: Request) -> Response:
        location = parent(request)
        body = parse_object(await read_body(request))
        changes, traffic = requests.endpoint_changes(
            body, request.query_params.get("updateMask", "")
        )
        endpoint = self._endpoints.update(
            location, request.path_params["endpoint"], changes, traffic
        )
        return json_response(endpoint_resource(location, endpoint))

    async def delete(self, request: Request) -> Response:
        location, endpoint_id = parent(request), request.path_params["endpoint"]
        self._endpoints.delete(location, endpoint_id)
        return self._completed(
            f"{location}/endpoints/{endpoint_id}", "DeleteOperationMetadata", EMPTY
        )

    async def deploy(self, request: Request) -> Response:
        location, endpoint_id = parent(request), request.path_params["endpoint"]
        deployment = requests.deployment(location, parse_object(await read_body(request)))
        self._hosting.check(location, endpoint_id, deployment)
        operation = self._operations.start(
            f"{location}/endpoints/{endpoint_id}/operations/",
            typed("DeployModelOperationMetadata", {}),
            self._deploy(location, endpoint_id, deployment),
        )
        return json_response(operation_resource(operation))

    async def _deploy(self, location: str, endpoint_id: str, deployment: Deployment) -> Resource:
        deployed = await self._hosting.deploy(location, endpoint_id, deployment)
        resource = deployed_model_resource(location, deployed)
        return typed("DeployModelResponse", {"deployedModel": resource})

    async def undeploy(self, request: Request) -> Response:
        location, endpoint_id = parent(request), request.path_params["endpoint"]
        deployed_id, traffic = requests.undeployment(parse_object(await read_body(request)))
        self._endpoints.undeploy(location, endpoint_id, deployed_id, traffic)
        return self._completed(
            f"{location}/endpoints/{endpoint_id}",
            "UndeployModelOperationMetadata",
            typed("UndeployModelResponse", {}),
        )

    def _completed(self, name: str, metadata: str, response: Resource) -> Response:
        operation = self._operations.completed(f"{name}/operations/", typed(metadata, {}), response)
        return json_response(operation_resource(operation))


def _requested_id(request: Request) -> str:
    """Return the id in the query, in either of its forms (CreateEndpointRequest.endpoint_id)."""
    query = request.query_params
    return query.get("endpointId") or query.get("endpoint_id") or ""
