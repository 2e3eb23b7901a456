"""Refusals as the protocols write them."""

from collections.abc import Mapping

from starlette.responses import Response

from tf_dataflow_serving.services.prediction import http_json
from tf_dataflow_serving.services.prediction.faults.fates import Refusal
from tf_dataflow_serving.services.prediction.tfserving import responses as tfserving

_CANONICAL: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The statuses by their HTTP mapping (google/rpc/code.proto)."""


def refusal_response(path: str, refusal: Refusal) -> Response:
    """Return the error in the form of the protocol that has this path."""
    if path.startswith(tfserving.ROOT):
        response = tfserving.error_response(refusal.code, refusal.message)
    else:
        status = canonical_status(refusal.code)
        response = http_json.error_response(refusal.code, status, refusal.message)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def canonical_status(code: int) -> str:
    """Return the name that Google's APIs have for an HTTP status from 400 on."""
    return _CANONICAL.get(code, "INTERNAL" if code >= 500 else "FAILED_PRECONDITION")
