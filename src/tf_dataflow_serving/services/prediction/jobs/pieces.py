"""The input of a job in pieces: whole lines, each in one piece alone."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO

from tf_dataflow_serving.services.prediction.errors import StorageFailed
from tf_dataflow_serving.services.prediction.objects import StoredObject

PIECE_BYTES = 1024 * 1024
"""What a crash of the service loses, and for what jobs wait for each other: below some seconds of
work; far more than its requests to the storage service cost."""

_COMPRESSED = ".gz"
Reader = Callable[[StoredObject], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class Piece:
    """The lines of an object that begin within a range of bytes.

    An object whose name ends in `.gz` is one piece: it cannot be read from the middle.
    """

    source: StoredObject
    start: int
    end: int

    def lines(self, reader: Reader) -> Iterator[bytes]:
        """Yield the lines, each with its end; `reader` opens objects. Raises StorageFailed."""
        with reader(self.source) as content:
            if _is_compressed(self.source):
                yield from _decompressed(content, self.source.uri)
            else:
                yield from lines_within(content, self.start, self.end)


def pieces_of(source: StoredObject, piece_bytes: int) -> list[Piece]:
    """Cut an object; one that is empty has no pieces."""
    size = source.size
    step = max(size, 1) if _is_compressed(source) else piece_bytes
    return [Piece(source, start, min(start + step, size)) for start in range(0, size, step)]


def deal(sources: Sequence[StoredObject], workers: int, piece_bytes: int) -> list[list[Piece]]:
    """Deal the pieces of all objects to as many workers as there is work for, at least to one."""
    pieces = [piece for source in sources for piece in pieces_of(source, piece_bytes)]
    count = max(1, min(workers, len(pieces)))
    return [pieces[index::count] for index in range(count)]


def lines_within(content: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    """Yield the lines that begin at `start` or behind it, but before `end`."""
    position = max(start - 1, 0)
    content.seek(position)
    if start:
        # A line that begins at `start` follows on a line end, one that began before does not. It
        # may be far longer than the piece, whose own lines it then leaves no room for.
        position += len(content.readline(end - position))
    while position < end and (line := content.readline()):
        position += len(line)
        yield line


def _is_compressed(source: StoredObject) -> bool:
    return source.uri.endswith(_COMPRESSED)


def _decompressed(content: IO[bytes], uri: str) -> Iterator[bytes]:
    with _gzip_failures(uri), gzip.GzipFile(fileobj=content) as lines:
        yield from io.BufferedReader(lines)


@contextmanager
def _gzip_failures(uri: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StorageFailed(f"{uri} is not gzip, as its name says: {error}") from error
