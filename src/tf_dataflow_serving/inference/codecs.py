"""Requests and responses of prediction protocols: instances to bytes, bytes to estimates."""

import reprlib
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.results import NOT_FINITE, Estimate
from tf_dataflow_serving.natality.instance import Instance


class Codec(Protocol):
    """What differs between protocols; instances are encoded one by one to know their size."""

    def path(self, endpoint: PredictionEndpoint) -> str:
        """Return the path, from the root, that requests are posted to."""

    def encode(self, instances: Sequence[bytes], endpoint: PredictionEndpoint) -> bytes:
        """Return a request's body for instances that are JSON each."""

    def decode(self, body: bytes, count: int) -> list[Estimate]:
        """Return `count` estimates from the body of a response with status 200.

        Raises PredictionRejected for an error in place of predictions, EndpointRefused for a
        body that is not of the protocol.
        """


class CmleCodec:
    """Cloud ML Engine v1, projects.predict ("Predict request details")."""

    def path(self, endpoint: PredictionEndpoint) -> str:
        """Return /v1/{name}:predict."""
        return f"/v1/{endpoint.resource}:predict"

    def encode(self, instances: Sequence[bytes], endpoint: PredictionEndpoint) -> bytes:
        """Return {"instances": [...]}, with the signature's name if it is not the default one."""
        listed = b'{"instances":[%b]' % b",".join(instances)
        if endpoint.signature_name is None:
            return listed + b"}"
        return b'%b,"signature_name":%b}' % (listed, orjson.dumps(endpoint.signature_name))

    def decode(self, body: bytes, count: int) -> list[Estimate]:
        """Read {"predictions": [{"predictions": [7.03]}, ...]}, or {"error": "..."}."""
        response = parse_object(body)
        if "error" in response:
            raise PredictionRejected(str(response["error"]))
        predictions = response.get("predictions")
        if not isinstance(predictions, list) or len(predictions) != count:
            raise EndpointRefused(f"the response does not have {count} predictions")
        return [_estimate(prediction) for prediction in predictions]


def encode_instance(instance: Instance) -> bytes:
    """Return an instance as JSON; raises PredictionRejected for one that JSON cannot hold."""
    try:
        return orjson.dumps(instance)
    except orjson.JSONEncodeError as error:
        raise PredictionRejected(f"not an instance: {error}") from error


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a response is; raises EndpointRefused."""
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EndpointRefused(f"the response is not JSON: {error}") from error
    if not isinstance(response, dict):
        raise EndpointRefused("the response is not a JSON object")
    return response


def _estimate(prediction: object) -> Estimate:
    """Unwrap the one number of {"predictions": [7.03]}, whatever the output's name."""
    value = prediction
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if value is None:
        # JSON has neither NaN nor infinity.
        return NOT_FINITE
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EndpointRefused(f"a prediction is not a number: {reprlib.repr(prediction)}")
    return float(value)
