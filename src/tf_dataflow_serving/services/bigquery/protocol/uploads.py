"""Load jobs whose file comes with the request, at once (multipart) or in chunks (resumable).

Source: "Upload to BigQuery" (https://cloud.google.com/bigquery/docs/reference/api-uploads).
bqemulator's routes for these refuse the media type that Google's client sends and give the job
another id; its session store, with its checks of ranges and sizes, serves here too.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

import orjson
from bqemulator.domain.errors import NotFoundError
from bqemulator.jobs.upload_session_manager import (
    ContentRangeError,
    UploadSession,
    UploadSessionManager,
    UploadSizeExceededError,
)
from starlette.requests import Request
from starlette.responses import Response

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound, TooLarge

RunUpload = Callable[[str, dict[str, Any], Path], Awaitable[Response]]

_RESUME_INCOMPLETE = 308
_STATUS_QUERY = "bytes */"


class Uploads:
    """The handlers of the upload routes; `run` does the job with the uploaded file."""

    def __init__(self, sessions: UploadSessionManager, run: RunUpload) -> None:
        self._sessions = sessions
        self._run = run

    async def start(self, request: Request) -> Response:
        """Take a whole upload, or open a session for one that comes in chunks."""
        project = request.path_params["project"]
        kind = request.query_params.get("uploadType")
        content = await self._content(request)
        if kind == "resumable":
            session = self._sessions.create(project, parsed_job(content))
            location = request.url.include_query_params(upload_id=session.session_id)
            return Response(headers={"location": str(location)})
        if kind != "multipart":
            raise InvalidRequest(f"Invalid value for uploadType: {kind!r}")
        job, media = split_related(request.headers.get("content-type", ""), content)
        session = self._sessions.create(project, parsed_job(job))
        with _refusals():
            self._sessions.append(session.session_id, media)
        return await self._finish(session)

    async def resume(self, request: Request) -> Response:
        """Take a chunk of a resumable upload; the last one runs the job."""
        upload_id = request.query_params.get("upload_id", "")
        content_range = request.headers.get("content-range", "")
        content = await self._content(request)
        with _refusals():
            if content_range.startswith(_STATUS_QUERY):
                session = self._sessions.status(upload_id)
                complete = content_range == f"{_STATUS_QUERY}{session.received_bytes}"
            else:
                session, complete = self._sessions.append(
                    upload_id, content, content_range=content_range or None
                )
        # A chunk without a range is the whole file.
        if complete or not content_range:
            return await self._finish(session)
        return _incomplete(session)

    async def _finish(self, session: UploadSession) -> Response:
        try:
            return await self._run(
                session.project_id, dict(session.configuration), session.staging_path
            )
        finally:
            self._sessions.remove(session.session_id)

    async def _content(self, request: Request) -> bytes:
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > self._sessions.max_bytes:
                raise TooLarge(f"An upload may have {self._sessions.max_bytes} bytes")
        return bytes(content)


def _incomplete(session: UploadSession) -> Response:
    received = session.received_bytes
    headers = {"range": f"bytes=0-{received - 1}"} if received else {}
    return Response(status_code=_RESUME_INCOMPLETE, headers=headers)


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what the session store refuses as errors of ours."""
    try:
        yield
    except ContentRangeError as error:
        raise InvalidRequest(str(error)) from error
    except UploadSizeExceededError as error:
        raise TooLarge(str(error)) from error
    except NotFoundError as error:
        raise NotFound(str(error)) from error


def parsed_job(content: bytes) -> dict[str, Any]:
    """The Job resource of an upload; raises InvalidRequest if it is no load job."""
    try:
        job = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"Request body is not valid JSON: {error}") from error
    configuration = job.get("configuration") if isinstance(job, dict) else None
    if not isinstance(configuration, dict) or not isinstance(configuration.get("load"), dict):
        raise InvalidRequest("Only load jobs take an upload")
    checked: dict[str, Any] = job
    return checked


def split_related(content_type: str, body: bytes) -> tuple[bytes, bytes]:
    """The two parts of a multipart/related body (RFC 2387); raises InvalidRequest."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or boundary is None:
        raise InvalidRequest(f"A multipart upload can't have the type {content_type!r}")
    delimiter = b"--" + _used(boundary, body).encode()
    # Some clients end lines by a line feed alone; then a carriage return is content.
    end = b"\r\n" if body.partition(delimiter)[2].startswith(b"\r\n") else b"\n"
    parts = (end + body).split(end + delimiter)
    # Before the first boundary there is nothing, after the last one `--`.
    if len(parts) != 4:
        raise InvalidRequest("A multipart upload must have two parts")
    return _content_of(parts[1], end), _content_of(parts[2], end)


def _used(boundary: str, body: bytes) -> str:
    """Without the apostrophes that apitools, Beam's client, puts around it in the header alone."""
    if boundary.encode() in body:
        return boundary
    return boundary.removeprefix("'").removesuffix("'")


def _content_of(part: bytes, end: bytes) -> bytes:
    _, blank_line, content = part.partition(end + end)
    if not blank_line:
        raise InvalidRequest("A part of the multipart upload has no end of its headers")
    return content
