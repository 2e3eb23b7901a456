"""Long-running operations: google.longrunning.Operations, below any resource."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.http_json import (
    json_response,
    parse_object,
    read_body,
)
from tf_dataflow_serving.services.prediction.operations import Operations
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.vertex.listing import filtered_page
from tf_dataflow_serving.services.prediction.vertex.paths import parent
from tf_dataflow_serving.services.prediction.vertex.resources import operation_resource

_OWNERS = ("", "/models/{owner}", "/endpoints/{owner}", "/batchPredictionJobs/{owner}")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s", re.ASCII)
_MAX_WAIT_SECONDS = 30.0


def routes(service: PredictionService) -> list[Route]:
    """Return the methods of operations; custom methods come before what they look like."""
    api = _Operations(service.operations)
    return [route for owner in _OWNERS for route in _routes(api, f"{owner}/operations")]


def _routes(api: "_Operations", collection: str) -> list[Route]:
    operation = f"{collection}/{{operation}}"
    return [
        Route(collection, api.list, methods=["GET"]),
        Route(f"{operation}:cancel", api.cancel, methods=["POST"]),
        Route(f"{operation}:wait", api.wait, methods=["POST"]),
        Route(operation, api.get, methods=["GET"]),
        Route(operation, api.delete, methods=["DELETE"]),
    ]


class _Operations:
    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def get(self, request: Request) -> Response:
        return json_response(operation_resource(self._operations.get(_name(request))))

    async def list(self, request: Request) -> Response:
        found = self._operations.under(f"{_name(request)}/")
        return filtered_page(request, "operations", [operation_resource(one) for one in found])

    async def wait(self, request: Request) -> Response:
        seconds = _timeout(request, parse_object(await read_body(request)))
        operation = await self._operations.wait(_name(request), seconds)
        return json_response(operation_resource(operation))

    async def cancel(self, request: Request) -> Response:
        """Do no more than look it up: no operation here takes long enough to be stopped."""
        self._operations.get(_name(request))
        return json_response({})

    async def delete(self, request: Request) -> Response:
        self._operations.delete(_name(request))
        return json_response({})


def _name(request: Request) -> str:
    """Return the full name of what the path leads to, without a custom method behind it."""
    location = parent(request)
    path = request.scope["path"]
    below = path[path.index(location) + len(location) :]
    return f"{location}{below.partition(':')[0]}"


def _timeout(request: Request, body: dict[str, object]) -> float:
    given = request.query_params.get("timeout") or body.get("timeout") or f"{_MAX_WAIT_SECONDS}s"
    match = _DURATION.fullmatch(str(given))
    if match is None:
        raise InvalidArgument("timeout", f"{given!r} is not a duration such as 1.5s.")
    return min(float(match[1]), _MAX_WAIT_SECONDS)
