"""JSON over HTTP: bodies in, bodies out, errors in the form of Google's APIs."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tf_dataflow_serving.services.prediction.errors import MalformedRequest, PayloadTooLarge

MAX_BODY_BYTES = 1_572_864
"""1.5 MB, as in the real service's own message."""

_MEDIA_TYPE = "application/json; charset=UTF-8"


def json_response(content: object, status: int = 200) -> Response:
    """Return a response with that content; NaN and infinities become null."""
    return raw_json_response(orjson.dumps(content), status)


def raw_json_response(content: bytes, status: int = 200) -> Response:
    """Return a response with content that is JSON already."""
    return Response(content, status, media_type=_MEDIA_TYPE)


def error_response(
    code: int, status: str, message: str, details: Mapping[str, object] | None = None
) -> Response:
    """Return an error as Google's APIs do (Cloud API Design Guide, "Errors", HTTP mapping)."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details is not None:
        error["details"] = [details]
    return json_response({"error": error}, code)


async def read_body(request: Request) -> bytes:
    """Return the body; raises PayloadTooLarge.

    A body that is too long is read to its end, though not kept: a client that is still sending
    would otherwise see a broken connection in place of the answer.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
    if size > MAX_BODY_BYTES:
        raise PayloadTooLarge(MAX_BODY_BYTES, size)
    return b"".join(chunks)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, an empty one for no body; raises MalformedRequest."""
    try:
        value = orjson.loads(body or b"{}")
        # What is read can be nested more deeply than what can be written: kept, or shown again.
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise MalformedRequest(f"Invalid JSON payload received. {error}") from error
    if not isinstance(value, dict):
        raise MalformedRequest("Invalid JSON payload received. An object is expected.")
    return value
