"""The service's edge: one application for all protocols, and the status codes of its errors."""

from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.cmle import routes as cmle
from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    ResourceError,
)
from tf_dataflow_serving.services.prediction.http_json import error_response
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.tfserving import routes as tfserving
from tf_dataflow_serving.services.prediction.vertex import routes as vertex

_STATUS: Mapping[type[ResourceError], tuple[int, str]] = {
    InvalidArgument: (400, "INVALID_ARGUMENT"),
    NotFound: (404, "NOT_FOUND"),
    AlreadyExists: (409, "ALREADY_EXISTS"),
    FailedPrecondition: (400, "FAILED_PRECONDITION"),
}


def create_app(service: PredictionService, control: Sequence[Route] = ()) -> Starlette:
    """Return the application that serves all protocols, and `control`."""
    application = Starlette(
        routes=[
            *cmle.routes(service),
            *vertex.mounts(service),
            tfserving.mount(service),
            *control,
        ],
        exception_handlers={
            ResourceError: _resource_error,
            MalformedRequest: _bad_request,
            PayloadTooLarge: _bad_request,
            ClientDisconnect: _bad_request,
            HTTPException: _no_such_method,
            Exception: _internal_error,
        },
    )
    # What does not exist is not found, rather than elsewhere with a slash more or less.
    application.router.redirect_slashes = False
    return application


async def _resource_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ResourceError)  # noqa: S101 - registered for these alone
    code, status = _STATUS[type(error)]
    violation = {"field": error.field, "description": error.description}
    details = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [violation],
    }
    return error_response(code, status, str(error), details)


async def _bad_request(_: Request, error: Exception) -> Response:
    return error_response(400, "INVALID_ARGUMENT", str(error))


async def _no_such_method(request: Request, _: Exception) -> Response:
    return error_response(
        404, "NOT_FOUND", f"There is no method {request.method} {request.scope['path']}."
    )


async def _internal_error(_: Request, __: Exception) -> Response:
    return error_response(500, "INTERNAL", "Internal error encountered.")
