"""What the routes of BigQuery's REST API have in common: paths, bodies, answers, errors."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BackendFailed,
    BigQueryError,
    InvalidData,
    InvalidQuery,
    InvalidRequest,
    NotFound,
    ResourceInUse,
    TooLarge,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

PROJECT = "/bigquery/v2/projects/{project}"
DATASET = PROJECT + "/datasets/{dataset}"
TABLE = DATASET + "/tables/{table}"
# Beam's client has its own path for resumable uploads.
UPLOADS = ("/upload" + PROJECT + "/jobs", "/resumable/upload" + PROJECT + "/jobs")
# BigQuery takes 10 MB in one insertAll request; a job's configuration is far smaller.
MAX_BODY_BYTES = 64 * 1024 * 1024
_STATUS: Mapping[type[BigQueryError], int] = {
    InvalidRequest: 400,
    InvalidData: 400,
    InvalidQuery: 400,
    ResourceInUse: 400,
    NotFound: 404,
    AlreadyExists: 409,
    TooLarge: 413,
    Unsupported: 501,
    BackendFailed: 503,
}


def route(path: str, method: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
    """One method of one path."""
    return Route(path, handler, methods=[method])


def relayed(response: httpx.Response) -> Response:
    """Pass an emulator's answer on."""
    media_type = response.headers.get("content-type")
    return Response(response.content, response.status_code, media_type=media_type)


def json_response(content: Any) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(content), media_type="application/json")


def table_of(request: Request) -> TableRef:
    """The table that a path names."""
    path = request.path_params
    return TableRef(path["project"], path["dataset"], path["table"])


def integer(text: str | None) -> int | None:
    """A number of maxResults, if it is given; raises InvalidRequest."""
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise InvalidRequest(f"Invalid value for maxResults: {text!r}") from error


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that a bounded request holds; raises InvalidRequest, TooLarge."""
    content = await _bounded(request)
    try:
        # The standard parser also reads NaN, which clients write.
        body = json.loads(content)
    except ValueError as error:
        raise InvalidRequest(f"Request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequest("Request body must be a JSON object")
    return body


async def _bounded(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise TooLarge(f"Request body exceeds {MAX_BODY_BYTES} bytes")
    return bytes(content)


async def error_response(_request: Request, error: Exception) -> Response:
    """Answer with an error in BigQuery's form."""
    assert isinstance(error, BigQueryError)  # noqa: S101 - registered for no other
    code = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    detail = {"domain": "global", "reason": error.reason, "message": error.message}
    body = {"code": code, "message": error.message, "errors": [detail]}
    return JSONResponse({"error": body}, status_code=code)
