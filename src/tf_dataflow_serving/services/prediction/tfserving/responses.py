"""Answers as TensorFlow Serving writes them."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from tf_dataflow_serving.services.prediction.http_json import json_response

ROOT = "/v1/models/"
"""What all paths of the protocol, and of no other one, begin with."""


def error_response(code: int, message: str) -> Response:
    """Return an error ("RESTful API", "Overview")."""
    return json_response({"error": message}, code)


def status_response(versions: Sequence[str]) -> Response:
    """Return the status of versions that serve ("RESTful API", "Model status API")."""
    return json_response({"model_version_status": [_status(version) for version in versions]})


def _status(version: str) -> dict[str, Any]:
    return {
        "version": version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
