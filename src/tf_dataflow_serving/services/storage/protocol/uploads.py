"""Uploads of the JSON API: at once, with metadata, or resumable.

Sources: Cloud Storage JSON API, "Objects: insert"; Cloud Storage documentation, "Resumable uploads"
and "Perform resumable uploads".
"""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.storage.errors import InvalidArgument
from tf_dataflow_serving.services.storage.objects import Objects
from tf_dataflow_serving.services.storage.protocol.bodies import (
    incoming,
    require_object_size,
    stored,
)
from tf_dataflow_serving.services.storage.protocol.related import RelatedParser, boundary_of
from tf_dataflow_serving.services.storage.protocol.representation import (
    base_url,
    json_response,
    object_resource,
)
from tf_dataflow_serving.services.storage.protocol.requests import (
    header_checksums,
    integer,
    json_body,
    json_object,
    path_name,
    preconditions,
    refuse_unsupported,
    resource_checksums,
)
from tf_dataflow_serving.services.storage.resources import (
    Checksums,
    Content,
    JsonObject,
    StoredObject,
)
from tf_dataflow_serving.services.storage.resumable import Chunk, Progress, ResumableUploads
from tf_dataflow_serving.services.storage.uploads import Intent

_CONTENT_RANGE = re.compile(
    r"bytes (?:(?P<first>\d{1,18})-(?P<last>\d{1,18})|\*)/(?:(?P<total>\d{1,18})|\*)", re.ASCII
)
_CANCELLED = 499
_INCOMPLETE = 308


class UploadEndpoints:
    """Serves /upload/storage/v1/b/{bucket}/o."""

    def __init__(self, objects: Objects, resumable: ResumableUploads):
        self._objects = objects
        self._resumable = resumable

    def routes(self) -> list[Route]:
        """Return the routes of all uploads."""
        path = "/upload/storage/v1/b/{bucket}/o"
        return [
            Route(path, self.insert, methods=["POST"]),
            Route(path, self.resume, methods=["PUT"]),
            Route(path, self.cancel, methods=["DELETE"]),
        ]

    async def insert(self, request: Request) -> Response:
        """Objects: insert, or the start of a resumable upload."""
        refuse_unsupported(request)
        kind = request.query_params.get("uploadType")
        if kind == "media":
            return await self._insert_media(request)
        if kind == "multipart":
            return await self._insert_related(request)
        if kind == "resumable" and "upload_id" in request.query_params:
            return await self.resume(request)
        if kind == "resumable":
            return await self._start_resumable(request)
        raise InvalidArgument(f"Invalid value for uploadType: {kind!r}")

    async def resume(self, request: Request) -> Response:
        """Take a chunk of a resumable upload, or tell how far it is."""
        upload_id = _upload_id(request)
        chunk = _chunk(request)
        if chunk.length == 0:
            await _drained(request)
            return await self._conclude(request, upload_id, chunk.total)
        async with incoming(request) as pieces:
            persisted = await self._take(upload_id, chunk, pieces)
        total = persisted if chunk.length is None else chunk.total
        if persisted == total:
            return await self._conclude(request, upload_id, total)
        return _progress(request, Progress(persisted))

    async def cancel(self, request: Request) -> Response:
        """Give up a resumable upload."""
        await run_in_threadpool(self._resumable.cancel, _upload_id(request))
        return Response(status_code=_CANCELLED)

    async def _insert_media(self, request: Request) -> Response:
        attributes = _content_type(request.headers.get("content-type"))
        async with incoming(request) as pieces:
            intent = _intent(request, attributes, header_checksums(request))
            async with self._stored(pieces) as content:
                pass
        return _shown(request, await run_in_threadpool(self._objects.commit, intent, content))

    async def _insert_related(self, request: Request) -> Response:
        parser = RelatedParser(boundary_of(request.headers.get("content-type", "")))
        async with incoming(request) as pieces, self._stored(_contents(parser, pieces)) as content:
            resource = json_object(parser.metadata)
            attributes = _content_type(parser.content_type) | dict(resource)
            intent = _intent(request, attributes, resource_checksums(resource))
        return _shown(request, await run_in_threadpool(self._objects.commit, intent, content))

    def _stored(self, pieces: AsyncIterator[bytes]) -> AbstractAsyncContextManager[Content]:
        return stored(pieces, self._objects.new_content, self._objects.discard)

    async def _start_resumable(self, request: Request) -> Response:
        resource = await json_body(request)
        announced = _content_type(request.headers.get("x-upload-content-type"))
        intent = _intent(request, announced | dict(resource), resource_checksums(resource))
        total = integer(request.headers, "x-upload-content-length")
        require_object_size(total or 0)
        upload_id = await run_in_threadpool(self._resumable.start, intent, total)
        query = urlencode({"uploadType": "resumable", "name": intent.name, "upload_id": upload_id})
        location = f"{base_url(request)}/upload/storage/v1/b/{quote(intent.bucket)}/o?{query}"
        return Response(headers={"Location": location, "X-GUploader-UploadID": upload_id})

    async def _take(self, upload_id: str, chunk: Chunk, pieces: AsyncIterator[bytes]) -> int:
        writer = await run_in_threadpool(self._resumable.open_chunk, upload_id, chunk)
        try:
            async for piece in pieces:
                require_object_size(writer.persisted + len(piece))
                await run_in_threadpool(writer.write, piece)
        finally:
            writer.close()
        return writer.persisted

    async def _conclude(self, request: Request, upload_id: str, total: int | None) -> Response:
        if total is None:
            progress = await run_in_threadpool(self._resumable.progress, upload_id)
        else:
            checksums = header_checksums(request)
            progress = await run_in_threadpool(
                self._resumable.conclude, upload_id, total, checksums
            )
        return _progress(request, progress)


async def _contents(parser: RelatedParser, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield parser.feed(piece)
    parser.finish()


def _intent(request: Request, attributes: JsonObject, checksums: Checksums) -> Intent:
    name = request.query_params.get("name") or attributes.get("name")
    if not isinstance(name, str):
        raise InvalidArgument("Required object name is missing.")
    return Intent(path_name(request, "bucket"), name, attributes, preconditions(request), checksums)


def _content_type(value: str | None) -> dict[str, str]:
    return {"contentType": value} if value else {}


def _upload_id(request: Request) -> str:
    upload_id = request.query_params.get("upload_id")
    if not upload_id:
        raise InvalidArgument("Required parameter: upload_id")
    return upload_id


def _chunk(request: Request) -> Chunk:
    """Read Content-Range; `bytes */N` and `bytes */*` carry nothing, no header means all."""
    header = request.headers.get("content-range")
    if header is None:
        return Chunk()
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if not match:
        raise InvalidArgument(f"Invalid Content-Range: {header!r}")
    total = int(match["total"]) if match["total"] else None
    if match["first"] is None:
        return Chunk(length=0, total=total)
    first, last = int(match["first"]), int(match["last"])
    if last < first or (total is not None and last >= total):
        raise InvalidArgument(f"Invalid Content-Range: {header!r}")
    return Chunk(first, last - first + 1, total)


async def _drained(request: Request) -> None:
    async for _ in request.stream():
        continue


def _progress(request: Request, progress: Progress) -> Response:
    if progress.finished:
        return _shown(request, progress.finished)
    kept = {"Range": f"bytes=0-{progress.persisted - 1}"} if progress.persisted else {}
    return Response(status_code=_INCOMPLETE, headers=kept)


def _shown(request: Request, item: StoredObject) -> Response:
    return json_response(object_resource(item, base_url(request)))
