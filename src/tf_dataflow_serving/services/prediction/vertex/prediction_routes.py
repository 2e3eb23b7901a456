"""Online prediction on endpoints, through the JSON of TensorFlow Serving.

The prebuilt containers for TensorFlow are TensorFlow Serving: `predict` has their row form, and
`rawPredict` hands over any form that they take (Vertex AI, "Get online inferences").
"""

import asyncio
import base64
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.errors import MalformedRequest
from tf_dataflow_serving.services.prediction.http_json import (
    parse_object,
    raw_json_response,
    read_body,
)
from tf_dataflow_serving.services.prediction.registry.endpoints import DeployedModel
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.serving.predictions import without_single_names
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel
from tf_dataflow_serving.services.prediction.tfserving.requests import predict_request
from tf_dataflow_serving.services.prediction.vertex.paths import parent

_ENDPOINT = "/endpoints/{endpoint}"
_HTTP_BODY = b"httpBody"


def routes(service: PredictionService) -> list[Route]:
    """Return the methods that predict."""
    api = _Predictions(service)
    return [
        Route(f"{_ENDPOINT}:predict", api.predict, methods=["POST"]),
        Route(f"{_ENDPOINT}:rawPredict", api.raw_predict, methods=["POST"]),
    ]


class _Predictions:
    def __init__(self, service: PredictionService) -> None:
        self._endpoints = service.hosting.endpoints
        self._predictors = service.predictors

    async def predict(self, request: Request) -> Response:
        location = parent(request)
        body = await read_body(request)
        deployed = self._endpoints.answering(location, request.path_params["endpoint"])
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._predictors, _predict, location, deployed, body)
        return raw_json_response(answer)

    async def raw_predict(self, request: Request) -> Response:
        location = parent(request)
        body = await read_body(request)
        deployed = self._endpoints.answering(location, request.path_params["endpoint"])
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(
            self._predictors, _raw_predict, deployed.saved_model, body
        )
        response = raw_json_response(answer)
        response.headers.update(_answered_by(location, deployed))
        return response


def _predict(location: str, deployed: DeployedModel, body: bytes) -> bytes:
    """Return the body of a PredictResponse."""
    predictions = deployed.saved_model.signature().predict(_instances(parse_object(body)))
    return orjson.dumps(
        {
            "predictions": without_single_names(predictions),
            "deployedModelId": deployed.id,
            "model": f"{location}/models/{deployed.model_id}",
            "modelDisplayName": deployed.display_name,
            "modelVersionId": deployed.version,
        }
    )


def _instances(request: dict[str, Any]) -> list[object]:
    instances = request.get("instances")
    if not isinstance(instances, list) or not instances:
        raise MalformedRequest('The request needs "instances", a list that is not empty.')
    return instances


def _raw_predict(saved_model: SavedModel, body: bytes) -> bytes:
    """Return what TensorFlow Serving answers, in a google.api.HttpBody if the request came in one.

    So it does from Google's generated clients, which take an HttpBody for a message like others.
    """
    if _first_name(body) != _HTTP_BODY:
        return _served(saved_model, body)
    answer = _served(saved_model, _unwrapped(parse_object(body)))
    data = base64.b64encode(answer).decode("ascii")
    return orjson.dumps({"contentType": "application/json", "data": data})


def _served(saved_model: SavedModel, body: bytes) -> bytes:
    request = predict_request(body)
    predictions = saved_model.signature(request.signature_name).predict(request.instances)
    return orjson.dumps(request.answer(predictions))


def _first_name(body: bytes) -> bytes:
    """Return what stands in the first quotes, in an object the first name."""
    return body.partition(b'"')[2].partition(b'"')[0]


def _unwrapped(request: dict[str, Any]) -> bytes:
    content = request[_HTTP_BODY.decode()]
    try:
        return base64.b64decode(content["data"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedRequest('"httpBody" needs "data", in base64.') from error


def _answered_by(location: str, deployed: DeployedModel) -> dict[str, str]:
    """Return what google-cloud-aiplatform reads from the answer to a raw prediction.

    The model is named as in a URL: what users put in a path is not always fit for a header.
    """
    return {
        "X-Vertex-AI-Deployed-Model-Id": deployed.id,
        "X-Vertex-AI-Model": quote(f"{location}/models/{deployed.model_id}"),
        "X-Vertex-AI-Model-Version-Id": deployed.version,
    }
