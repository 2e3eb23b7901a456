"""Many calls in one request.

Source: Cloud Storage JSON API, "Batch requests": multipart/mixed, a call as application/http in
each part, 100 calls at most, uploads and downloads excluded.
"""

from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tf_dataflow_serving.services.storage.errors import InvalidArgument
from tf_dataflow_serving.services.storage.protocol.related import boundary_of
from tf_dataflow_serving.services.storage.protocol.representation import base_url
from tf_dataflow_serving.services.storage.protocol.requests import bounded_body

MAX_CALLS = 100
MAX_BODY_BYTES = 10 << 20
_EXCLUDED = ("/batch", "/upload/", "/download/")


class BatchEndpoint:
    """Serves /batch/storage/v1 by handing each call to the application it belongs to."""

    def __init__(self, application: ASGIApp):
        self._transport = httpx.ASGITransport(application)

    def routes(self) -> list[Route]:
        """Return the routes of batches."""
        return [
            Route("/batch/storage/v1", self.execute, methods=["POST"]),
            Route("/batch", self.execute, methods=["POST"]),
        ]

    async def execute(self, request: Request) -> Response:
        """Execute the calls in their order and answer each in a part of its own."""
        content_type = request.headers.get("content-type", "")
        boundary_of(content_type)
        body = await bounded_body(request, "The batch", MAX_BODY_BYTES)
        calls = _parts(content_type, body)
        boundary = f"batch_{uuid4().hex}"
        async with httpx.AsyncClient(
            transport=self._transport, base_url=base_url(request), trust_env=False
        ) as client:
            answers = [_part(boundary, call, await _answer(client, call)) for call in calls]
        content = b"".join([*answers, f"--{boundary}--\r\n".encode()])
        return Response(content, media_type=f'multipart/mixed; boundary="{boundary}"')


def _parts(content_type: str, body: bytes) -> list[Message]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + body).get_payload()
    if not isinstance(parts, list) or not parts:
        raise InvalidArgument("The batch has no parts.")
    if len(parts) > MAX_CALLS:
        raise InvalidArgument(f"The batch has more than {MAX_CALLS} calls.")
    return [part for part in parts if isinstance(part, Message)]


async def _answer(client: httpx.AsyncClient, call: Message) -> httpx.Response:
    payload = call.get_payload(decode=True)
    if not isinstance(payload, bytes):
        raise InvalidArgument("A part of the batch is not a call.")
    line, _, rest = payload.lstrip().partition(b"\n")
    words = line.decode("ascii", "replace").split()
    if len(words) < 2:
        raise InvalidArgument(f"Not the first line of a call: {line[:100]!r}")
    method, target = words[0], httpx.URL(words[1])
    if target.path.startswith(_EXCLUDED):
        raise InvalidArgument(f"Not allowed in a batch: {target.path}")
    inner = BytesParser().parsebytes(rest)
    content = inner.get_payload(decode=True)
    return await client.request(
        method,
        # The host that the call names does not matter: it is for this service.
        target.raw_path.decode(),
        content=content.strip() if isinstance(content, bytes) else b"",
        headers={
            name: value for name, value in inner.items() if name.lower().startswith(("if-", "x-"))
        },
    )


def _part(boundary: str, call: Message, answer: httpx.Response) -> bytes:
    content_id = call.get("content-id", "")
    named = f"Content-ID: <response-{content_id.strip('<>')}>\r\n" if content_id else ""
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    phrase = HTTPStatus(answer.status_code).phrase
    head = (
        f"--{boundary}\r\nContent-Type: application/http\r\n{named}\r\n"
        f"HTTP/1.1 {answer.status_code} {phrase}\r\n{headers}\r\n"
    )
    return head.encode() + answer.content + b"\r\n"
