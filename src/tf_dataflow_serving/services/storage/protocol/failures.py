"""Tells clients what went wrong: in JSON, or in XML on the XML API's paths.

Sources: Cloud Storage documentation, "HTTP status and error codes for JSON" and "... for XML".
"""

from dataclasses import dataclass
from http import HTTPStatus
from xml.sax.saxutils import escape

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tf_dataflow_serving.services.storage import errors

_CLIENT_GONE = 499
_JSON_PATHS = ("/storage/v1/", "/upload/storage/v1/", "/download/storage/v1/", "/batch")


@dataclass(frozen=True)
class _Failure:
    status: int
    reason: str
    xml_code: str


_FAILURES: dict[type[Exception], _Failure] = {
    errors.BucketNotFound: _Failure(404, "notFound", "NoSuchBucket"),
    errors.ObjectNotFound: _Failure(404, "notFound", "NoSuchKey"),
    errors.UploadNotFound: _Failure(404, "notFound", "NoSuchUpload"),
    errors.BucketAlreadyExists: _Failure(409, "conflict", "BucketNameUnavailable"),
    errors.BucketNotEmpty: _Failure(409, "conflict", "BucketNotEmpty"),
    errors.PreconditionFailed: _Failure(412, "conditionNotMet", "PreconditionFailed"),
    errors.ChecksumMismatch: _Failure(400, "invalid", "BadDigest"),
    errors.InvalidArgument: _Failure(400, "invalid", "InvalidArgument"),
    errors.ContentTooLarge: _Failure(413, "uploadTooLarge", "EntityTooLarge"),
    errors.RangeNotSatisfiable: _Failure(416, "requestedRangeNotSatisfiable", "InvalidRange"),
    errors.UploadBusy: _Failure(503, "backendError", "ServiceUnavailable"),
    # Not 500 or 503: clients would try again for minutes, and the disk would stay full.
    errors.OutOfSpace: _Failure(507, "insufficientStorage", "InsufficientStorage"),
    errors.Unsupported: _Failure(501, "notImplemented", "NotImplemented"),
}
_INTERNAL = _Failure(500, "internalError", "InternalError")
_ROUTING = {
    404: _Failure(404, "notFound", "NoSuchKey"),
    405: _Failure(405, "methodNotAllowed", "MethodNotAllowed"),
}


def is_json_api(request: Request) -> bool:
    """Tell whether the path belongs to the JSON API; all others are objects of the XML API."""
    return request.url.path.startswith(_JSON_PATHS)


async def storage_failure(request: Request, error: Exception) -> Response:
    """Answer a domain exception."""
    if isinstance(error, errors.NegativePreconditionFailed) and request.method in {"GET", "HEAD"}:
        return Response(status_code=HTTPStatus.NOT_MODIFIED)
    response = _response(request, _failure_of(error), str(error))
    if isinstance(error, errors.RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.size}"
    return response


async def routing_failure(request: Request, error: Exception) -> Response:
    """Answer a path or method that no route serves."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    message = f"{HTTPStatus(status).phrase}: {request.method} {request.url.path}"
    return _response(request, _ROUTING.get(status, _INTERNAL), message)


async def internal_failure(request: Request, error: Exception) -> Response:
    """Answer a fault of this service."""
    return _response(request, _INTERNAL, f"Internal error: {type(error).__name__}")


async def client_gone(_: Request, error: Exception) -> Response:
    """End a request whose client has hung up; nobody reads the answer."""
    assert isinstance(error, ClientDisconnect)  # noqa: S101 - registered for nothing else
    return Response(status_code=_CLIENT_GONE)


def _failure_of(error: Exception) -> _Failure:
    kinds = (kind for kind in type(error).__mro__ if kind in _FAILURES)
    kind = next(kinds, None)
    return _FAILURES[kind] if kind else _INTERNAL


def _response(request: Request, failure: _Failure, message: str) -> Response:
    if is_json_api(request):
        return _json_response(failure, message)
    return _xml_response(failure, message)


def _json_response(failure: _Failure, message: str) -> Response:
    detail = {"domain": "global", "reason": failure.reason, "message": message}
    body = {"error": {"code": failure.status, "message": message, "errors": [detail]}}
    return Response(orjson.dumps(body), failure.status, media_type="application/json")


def _xml_response(failure: _Failure, message: str) -> Response:
    text = escape(message)
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<Error><Code>{failure.xml_code}</Code><Message>{text}</Message>"
        f"<Details>{text}</Details></Error>"
    )
    return Response(body, failure.status, media_type="application/xml")
