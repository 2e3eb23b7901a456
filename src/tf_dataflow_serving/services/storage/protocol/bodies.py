"""Takes contents off the wire and into the blob store, piece by piece."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from tf_dataflow_serving.services.storage.blobs import BlobWriter
from tf_dataflow_serving.services.storage.errors import ContentTooLarge, StorageError
from tf_dataflow_serving.services.storage.resources import Content

MAX_OBJECT_BYTES = 5 << 40
"""5 TiB (Cloud Storage documentation, "Quotas and limits")."""
_PIECE_BYTES = 1 << 20


@asynccontextmanager
async def incoming(request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the body in pieces of about 1 MiB.

    If the request is refused, the rest of the body is read all the same: a client that is still
    sending would else see a broken connection instead of the answer.
    """
    async with aclosing(request.stream()) as stream:
        try:
            yield _pieces(stream)
        except StorageError:
            async for _ in stream:
                continue
            raise


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    piece = bytearray()
    async for data in stream:
        piece += data
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


@asynccontextmanager
async def stored(
    pieces: AsyncIterator[bytes],
    create: Callable[[], BlobWriter],
    discard: Callable[[BlobWriter], None],
) -> AsyncIterator[Content]:
    """Write all pieces to a new content; it is kept unless something goes wrong until the end."""
    writer = await run_in_threadpool(create)
    try:
        async for piece in pieces:
            require_object_size(writer.size + len(piece))
            await run_in_threadpool(writer.write, piece)
        yield writer.close()
    except BaseException:
        discard(writer)
        raise


def require_object_size(size: int) -> None:
    """Raise ContentTooLarge if no object may have this many bytes."""
    if size > MAX_OBJECT_BYTES:
        raise ContentTooLarge("The object", MAX_OBJECT_BYTES)
