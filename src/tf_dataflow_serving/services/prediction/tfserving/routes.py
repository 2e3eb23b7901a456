"""TensorFlow Serving's REST API: predictions, and the status of models.

Source: TensorFlow Serving, "RESTful API"; errors as http_rest_api_handler.cc, json_tensor.cc
and get_model_status_impl.cc word them.
"""

import asyncio
import re

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tf_dataflow_serving.services.prediction.errors import (
    MalformedRequest,
    PayloadTooLarge,
    PredictionFailed,
)
from tf_dataflow_serving.services.prediction.http_json import raw_json_response, read_body
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel
from tf_dataflow_serving.services.prediction.tfserving.requests import predict_request
from tf_dataflow_serving.services.prediction.tfserving.responses import (
    ROOT,
    error_response,
    status_response,
)
from tf_dataflow_serving.services.prediction.tfserving.servables import (
    ServableNotFound,
    Servables,
)

_MODEL = "/{model}"
_VERSION = f"{_MODEL}/versions/{{version}}"


def mount(service: PredictionService) -> Mount:
    """Return the protocol, below its root and with errors of its own form."""
    api = _TensorFlowServing(service)
    application = Starlette(
        routes=[
            Route(f"{_MODEL}:predict", api.predict_latest, methods=["POST"]),
            Route(f"{_VERSION}:predict", api.predict, methods=["POST"]),
            Route(_MODEL, api.model_status, methods=["GET"]),
            Route(_VERSION, api.version_status, methods=["GET"]),
        ],
        exception_handlers={
            ServableNotFound: _not_found,
            MalformedRequest: _bad_request,
            PayloadTooLarge: _bad_request,
            PredictionFailed: _bad_request,
            ClientDisconnect: _bad_request,
            HTTPException: _malformed,
            Exception: _internal_error,
        },
    )
    # What does not exist is not found, rather than elsewhere with a slash more or less.
    application.router.redirect_slashes = False
    mounted = Mount(ROOT.removesuffix("/"), application)
    # A path with a line break, %0A, is of this protocol too; a dot alone would not match it.
    mounted.path_regex = re.compile(mounted.path_regex.pattern, re.DOTALL)
    return mounted


class _TensorFlowServing:
    def __init__(self, service: PredictionService) -> None:
        self._servables = Servables(service.models)
        self._predictors = service.predictors

    async def predict_latest(self, request: Request) -> Response:
        saved_model = self._servables.latest(request.path_params["model"])
        return await self._predict(saved_model, request)

    async def predict(self, request: Request) -> Response:
        path = request.path_params
        saved_model = self._servables.specific(path["model"], path["version"])
        return await self._predict(saved_model, request)

    async def model_status(self, request: Request) -> Response:
        return status_response(self._servables.versions(request.path_params["model"]))

    async def version_status(self, request: Request) -> Response:
        path = request.path_params
        return status_response([self._servables.version(path["model"], path["version"])])

    async def _predict(self, saved_model: SavedModel, request: Request) -> Response:
        body = await read_body(request)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._predictors, _predict, saved_model, body)
        return raw_json_response(answer)


def _predict(saved_model: SavedModel, body: bytes) -> bytes:
    request = predict_request(body)
    predictions = saved_model.signature(request.signature_name).predict(request.instances)
    return orjson.dumps(request.answer(predictions))


async def _not_found(_: Request, error: Exception) -> Response:
    return error_response(404, str(error))


async def _bad_request(_: Request, error: Exception) -> Response:
    return error_response(400, str(error))


async def _malformed(request: Request, _: Exception) -> Response:
    return error_response(400, f"Malformed request: {request.method} {request.scope['path']}")


async def _internal_error(_: Request, __: Exception) -> Response:
    return error_response(500, "Internal error encountered.")
