"""In front of another Cloud Storage emulator: all that it does, and batches, which it does not.

fake-gcs-server skips every part of a batch that has no Content-ID. Google's client for Python
gives them none, so that Beam, which deletes and renames in batches, could write no file there.
"""

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tf_dataflow_serving.services.storage.errors import StorageError
from tf_dataflow_serving.services.storage.protocol.batch import BatchEndpoint
from tf_dataflow_serving.services.storage.protocol.failures import storage_failure

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# They concern one connection only (RFC 9110, section 7.6.1), or name the other server.
_OF_THE_CONNECTION = frozenset({"host", "connection", "keep-alive", "transfer-encoding"})


def upstream_application(client: httpx.AsyncClient) -> ASGIApp:
    """Return the application that stands in front of the emulator at the client's base URL."""
    passing = Starlette(routes=[Route("/{path:path}", _Passing(client).on, methods=_METHODS)])
    return Starlette(
        routes=[*BatchEndpoint(passing).routes(), *passing.routes],
        exception_handlers={StorageError: storage_failure},
    )


class _Passing:
    """Passes requests and answers on, both as they come."""

    def __init__(self, client: httpx.AsyncClient):
        self._client = client

    async def on(self, request: Request) -> Response:
        """Send a request on; the answer begins before all of it is there."""
        query = request.scope["query_string"]
        target = request.scope["raw_path"] + (b"?" + query if query else b"")
        sent = self._client.build_request(
            request.method,
            self._client.base_url.copy_with(raw_path=target),
            headers=[pair for pair in request.headers.items() if pair[0] not in _OF_THE_CONNECTION],
            content=request.stream() if _has_body(request) else None,
        )
        try:
            answer = await self._client.send(sent, stream=True)
        except httpx.HTTPError as error:
            message = f"The Cloud Storage emulator did not answer: {error!r}"
            return JSONResponse({"error": {"code": 503, "message": message}}, 503)
        passed = StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        passed.raw_headers = [
            pair
            for pair in answer.headers.raw
            if pair[0].lower().decode("latin-1") not in _OF_THE_CONNECTION
        ]
        return passed


def _has_body(request: Request) -> bool:
    return bool({"content-length", "transfer-encoding"} & set(request.headers))
