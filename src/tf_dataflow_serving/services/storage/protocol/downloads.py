"""Sends contents, whole or in ranges.

Sources: Cloud Storage JSON API, "Objects: get"; RFC 9110, section 14; Cloud Storage documentation,
"Transcoding of gzip-compressed files".
"""

import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tf_dataflow_serving.services.storage.errors import RangeNotSatisfiable
from tf_dataflow_serving.services.storage.objects import Objects, Source
from tf_dataflow_serving.services.storage.protocol.representation import (
    hash_header,
    object_headers,
)
from tf_dataflow_serving.services.storage.resources import StoredObject

_PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(?P<first>\d{,19})-(?P<last>\d{,19})", re.ASCII)
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class _Span:
    """The bytes first <= position < end of a content."""

    first: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.first


async def download(objects: Objects, source: Source, request: Request) -> Response:
    """Answer with an object's content, or with the range of it that the request asks for."""
    item, file = await run_in_threadpool(objects.open, source)
    try:
        response = _response(item, file, request)
    except BaseException:
        file.close()
        raise
    if request.method == "HEAD":
        file.close()
        return Response(status_code=response.status_code, headers=dict(response.headers))
    return response


def _response(item: StoredObject, file: BinaryIO, request: Request) -> Response:
    if _is_to_be_decompressed(item, request):
        return _decompressed(item, file)
    size = item.content.digest.size
    span = requested_span(request.headers.get("range"), size)
    chosen = span or _Span(0, size)
    headers = object_headers(item) | {
        "Accept-Ranges": "bytes",
        "Content-Length": str(chosen.length),
        "x-goog-hash": hash_header(item.content.digest),
    }
    if item.attributes.get("contentEncoding"):
        headers["Content-Encoding"] = item.attributes["contentEncoding"]
    if span:
        headers["Content-Range"] = f"bytes {span.first}-{span.end - 1}/{size}"
    return StreamingResponse(_pieces(file, chosen), 206 if span else 200, headers)


def requested_span(header: str | None, size: int) -> _Span | None:
    """Return the range asked for; None, meaning all, if there is none or it makes no sense.

    Raises RangeNotSatisfiable if it begins behind the content's end.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if not match or not (match["first"] or match["last"]):
        return None
    if match["first"]:
        first = int(match["first"])
        end = min(int(match["last"]) + 1, size) if match["last"] else size
        if match["last"] and int(match["last"]) < first:
            return None
    else:
        first, end = max(0, size - int(match["last"])), size
    if first >= size:
        raise RangeNotSatisfiable(size)
    return _Span(first, end)


async def _pieces(file: BinaryIO, span: _Span) -> AsyncIterator[bytes]:
    with file:
        file.seek(span.first)
        left = span.length
        while left:
            data = await run_in_threadpool(file.read, min(left, _PIECE_BYTES))
            if not data:
                raise EOFError(f"{file.name} is {left} bytes shorter than it was")
            left -= len(data)
            yield data


def _is_to_be_decompressed(item: StoredObject, request: Request) -> bool:
    return (
        item.attributes.get("contentEncoding") == "gzip"
        and "gzip" not in request.headers.get("accept-encoding", "")
        and "no-transform" not in (item.attributes.get("cacheControl") or "")
    )


def _decompressed(item: StoredObject, file: BinaryIO) -> Response:
    """Send the content as it was before compression; ranges do not apply to it."""
    headers = object_headers(item) | {"Warning": "214 UploadServer gunzipped"}
    return StreamingResponse(_decompressed_pieces(file, item.content.digest.size), 200, headers)


async def _decompressed_pieces(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    decompressor = zlib.decompressobj(_GZIP)
    async for compressed in _pieces(file, _Span(0, size)):
        left = compressed
        while left:
            if decompressor.eof:
                # A gzip file may have several members (RFC 1952, section 2.2).
                decompressor = zlib.decompressobj(_GZIP)
            yield await run_in_threadpool(decompressor.decompress, left, _PIECE_BYTES)
            left = decompressor.unused_data or decompressor.unconsumed_tail
