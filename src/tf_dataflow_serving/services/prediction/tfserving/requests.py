"""What users ask TensorFlow Serving for: from JSON to instances, and the form of the answer."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tf_dataflow_serving.services.prediction.errors import MalformedRequest
from tf_dataflow_serving.services.prediction.serving.predictions import without_single_names

Predictions = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class PredictRequest:
    """Instances for a signature, None being the default one, and what makes the answer."""

    signature_name: str | None
    instances: Sequence[object]
    answer: Callable[[Predictions], Mapping[str, Any]]


def predict_request(body: bytes) -> PredictRequest:
    """Return what a body asks for ("RESTful API", "Predict API"); raises MalformedRequest."""
    document = _document(body)
    signature_name = document.get("signature_name")
    if not isinstance(signature_name, str | None):
        raise _refuse(document, "not formatted correctly. 'signature_name' must be a string value.")
    if "instances" in document and "inputs" in document:
        raise _refuse(document, "has both 'inputs' and 'instances', of which one is expected")
    if "instances" in document:
        return PredictRequest(signature_name, _instances(document), _rows)
    if "inputs" in document:
        return PredictRequest(signature_name, _columnar(document), _columns)
    raise MalformedRequest("Missing 'inputs' or 'instances' key")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise _refuse(document, "Is not object")
    return document


def _instances(document: Mapping[str, Any]) -> list[object]:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _refuse(document, "Excepting 'instances' to be an list/array")
    if not instances:
        raise _refuse(document, "No values in 'instances' array")
    return instances


def _columnar(document: Mapping[str, Any]) -> list[Any]:
    rows = _transposed(document["inputs"])
    if not rows:
        raise _refuse(document, "No values in 'inputs'")
    return rows


def _transposed(inputs: object) -> list[Any]:
    """Return the rows of a columnar request: a list for the only input, or lists by name."""
    if isinstance(inputs, list):
        return inputs
    if not isinstance(inputs, dict) or not all(isinstance(one, list) for one in inputs.values()):
        raise _refuse(inputs, "is no list, nor an object of lists, in 'inputs'")
    if len({len(column) for column in inputs.values()}) > 1:
        raise _refuse(inputs, "has lists of different lengths in 'inputs'")
    return [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]


def _rows(predictions: Predictions) -> Mapping[str, Any]:
    return {"predictions": without_single_names(predictions)}


def _columns(predictions: Predictions) -> Mapping[str, Any]:
    columns = {name: [prediction[name] for prediction in predictions] for name in predictions[0]}
    if len(columns) == 1:
        (only,) = columns.values()
        return {"outputs": only}
    return {"outputs": columns}


def _refuse(value: object, reason: str) -> MalformedRequest:
    return MalformedRequest(f"JSON Value: {reprlib.repr(value)} {reason}")
