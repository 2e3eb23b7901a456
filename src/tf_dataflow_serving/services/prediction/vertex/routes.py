"""Vertex AI v1: models, endpoints, online prediction, batch prediction jobs, operations.

Paths and bodies are those of google.cloud.aiplatform.v1 over REST. Projects and locations are any.
"""

from collections.abc import Mapping

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    PredictionFailed,
    ResourceError,
)
from tf_dataflow_serving.services.prediction.http_json import error_response
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.vertex import (
    endpoint_routes,
    job_routes,
    model_routes,
    operation_routes,
    prediction_routes,
)

_LOCATION = "/projects/{project}/locations/{location}"
_STATUS: Mapping[type[ResourceError], tuple[int, str]] = {
    NotFound: (404, "NOT_FOUND"),
    AlreadyExists: (409, "ALREADY_EXISTS"),
    FailedPrecondition: (400, "FAILED_PRECONDITION"),
}
# Of the resources that are served; all methods of other resources are unknown.
_LEFT_OUT = (
    "/models:copy",
    "/models/{model}:export",
    "/models/{model}:getIamPolicy",
    "/models/{model}:listCheckpoints",
    "/models/{model}:setIamPolicy",
    "/models/{model}:testIamPermissions",
    "/models/{model}:updateExplanationDataset",
    "/endpoints/{endpoint}:computeTokens",
    "/endpoints/{endpoint}:countTokens",
    "/endpoints/{endpoint}:directPredict",
    "/endpoints/{endpoint}:directRawPredict",
    "/endpoints/{endpoint}:explain",
    "/endpoints/{endpoint}:fetchPredictOperation",
    "/endpoints/{endpoint}:generateContent",
    "/endpoints/{endpoint}:mutateDeployedModel",
    "/endpoints/{endpoint}:predictLongRunning",
    "/endpoints/{endpoint}:serverStreamingPredict",
    "/endpoints/{endpoint}:streamGenerateContent",
    "/endpoints/{endpoint}:streamRawPredict",
    "/endpoints/{endpoint}:update",
)


def mounts(service: PredictionService) -> list[Mount]:
    """Return the protocol with errors of its own form.

    google-cloud-aiplatform asks for operations below /ui when it speaks REST.
    """
    api = _application(
        [
            *prediction_routes.routes(service),
            *operation_routes.routes(service),
            *(Route(path, _left_out, methods=["GET", "POST"]) for path in _LEFT_OUT),
            *endpoint_routes.routes(service),
            *model_routes.routes(service),
            *job_routes.routes(service),
        ]
    )
    return [
        Mount(f"/v1{_LOCATION}", api),
        Mount(f"/ui{_LOCATION}", _application(operation_routes.routes(service))),
    ]


def _application(routes: list[Route]) -> Starlette:
    application = Starlette(
        routes=routes,
        exception_handlers={
            InvalidArgument: _invalid_argument,
            ResourceError: _resource_error,
            PayloadTooLarge: _payload_too_large,
            PredictionFailed: _prediction_failed,
            MalformedRequest: _bad_request,
            ClientDisconnect: _bad_request,
            HTTPException: _no_such_method,
            Exception: _internal_error,
        },
    )
    # What does not exist is not found, rather than elsewhere with a slash more or less.
    application.router.redirect_slashes = False
    return application


async def _left_out(request: Request) -> Response:
    return error_response(
        501, "UNIMPLEMENTED", f"{request.scope['path']} is not supported by this service."
    )


async def _invalid_argument(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidArgument)  # noqa: S101 - registered for it alone
    violation = {"field": error.field, "description": error.description}
    details = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [violation],
    }
    message = f"List of found errors:\t1.Field: {error.field}; Message: {error.description}\t"
    return error_response(400, "INVALID_ARGUMENT", message, details)


async def _resource_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ResourceError)  # noqa: S101 - registered for these alone
    code, status = _STATUS[type(error)]
    return error_response(code, status, error.description)


async def _payload_too_large(_: Request, error: Exception) -> Response:
    assert isinstance(error, PayloadTooLarge)  # noqa: S101 - registered for it alone
    message = f"The request size ({error.size} bytes) exceeds 1.500MB limit."
    return error_response(400, "INVALID_ARGUMENT", message)


async def _prediction_failed(_: Request, error: Exception) -> Response:
    """Pass on what the container says, which is TensorFlow Serving's own form of an error."""
    said = orjson.dumps({"error": str(error)}).decode()
    return error_response(400, "INVALID_ARGUMENT", said)


async def _bad_request(_: Request, error: Exception) -> Response:
    return error_response(400, "INVALID_ARGUMENT", str(error))


async def _no_such_method(request: Request, _: Exception) -> Response:
    return error_response(
        404, "NOT_FOUND", f"There is no method {request.method} {request.scope['path']}."
    )


async def _internal_error(_: Request, __: Exception) -> Response:
    return error_response(500, "INTERNAL", "Internal error encountered.")
