"""Requests and answers of prediction protocols: instances to bytes, JSON to estimates."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from tf_dataflow_serving.inference.endpoint import Endpoint, PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.results import NOT_FINITE, Estimate
from tf_dataflow_serving.natality.instance import Instance


class Codec(Protocol):
    """What differs between protocols; instances are encoded one by one to know their size."""

    @property
    def path(self) -> str:
        """The path, from the root, that requests are posted to."""

    def encode(self, instances: Sequence[bytes]) -> bytes:
        """Return a request's body for instances that are JSON each."""

    def decode(self, answer: Mapping[str, Any], count: int) -> list[Estimate]:
        """Return `count` estimates from an answer with status 200.

        Raises PredictionRejected for an error in place of predictions, EndpointRefused for an
        answer that is not of the protocol.
        """


def codec_of(endpoint: Endpoint) -> Codec:
    """Return the codec of the protocol that an endpoint speaks."""
    if isinstance(endpoint, VertexEndpoint):
        return VertexCodec(endpoint)
    return CmleCodec(endpoint)


@dataclass(frozen=True)
class CmleCodec:
    """Cloud ML Engine v1, projects.predict ("Predict request details")."""

    endpoint: PredictionEndpoint

    @property
    def path(self) -> str:
        """/v1/{name}:predict."""
        return f"/v1/{self.endpoint.resource}:predict"

    def encode(self, instances: Sequence[bytes]) -> bytes:
        """Return {"instances": [...]}, with the signature's name if it is not the default one."""
        name = self.endpoint.signature_name
        extra = b"" if name is None else b',"signature_name":%b' % orjson.dumps(name)
        return b'{"instances":[%b]%b}' % (b",".join(instances), extra)

    def decode(self, answer: Mapping[str, Any], count: int) -> list[Estimate]:
        """Read {"predictions": [{"predictions": [7.03]}, ...]}, or {"error": "..."}."""
        if "error" in answer:
            raise PredictionRejected(str(answer["error"]))
        return _estimates(answer, count)


@dataclass(frozen=True)
class VertexCodec:
    """Vertex AI v1, projects.locations.endpoints.predict."""

    endpoint: VertexEndpoint

    @property
    def path(self) -> str:
        """/v1/{endpoint}:predict."""
        return f"/v1/{self.endpoint.resource}:predict"

    def encode(self, instances: Sequence[bytes]) -> bytes:
        """Return {"instances": [...]}."""
        return b'{"instances":[%b]}' % b",".join(instances)

    def decode(self, answer: Mapping[str, Any], count: int) -> list[Estimate]:
        """Read {"predictions": [[7.03], ...], "deployedModelId": "...", ...}."""
        return _estimates(answer, count)


def encode_instance(instance: Instance) -> bytes:
    """Return an instance as JSON; raises PredictionRejected for one that JSON cannot hold."""
    try:
        return orjson.dumps(instance)
    except orjson.JSONEncodeError as error:
        raise PredictionRejected(f"not an instance: {error}") from error


def estimate_of(prediction: object) -> Estimate:
    """Unwrap the one number of {"predictions": [7.03]}, whatever the output's name.

    Raises EndpointRefused for what is not a number.
    """
    value = prediction
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if value is None:
        # JSON has neither NaN nor infinity; some services write them all the same.
        return NOT_FINITE
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EndpointRefused(f"a prediction is not a number: {reprlib.repr(prediction)}")
    return float(value) if math.isfinite(value) else NOT_FINITE


def _estimates(answer: Mapping[str, Any], count: int) -> list[Estimate]:
    predictions = answer.get("predictions")
    if not isinstance(predictions, list) or len(predictions) != count:
        raise EndpointRefused(f"the response does not have {count} predictions")
    return [estimate_of(prediction) for prediction in predictions]
