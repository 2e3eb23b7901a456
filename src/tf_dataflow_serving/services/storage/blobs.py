"""Contents as files: immutable once whole, named by opaque ids, never by what users say."""

import errno
import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import google_crc32c

from tf_dataflow_serving.services.storage.errors import OutOfSpace
from tf_dataflow_serving.services.storage.resources import Content, Digest

COPY_CHUNK_BYTES = 1 << 20
_ID = re.compile(r"[0-9a-f]{32}")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def random_id() -> str:
    """Return an id that cannot be guessed or met twice."""
    return uuid4().hex


class Hasher:
    """Computes the size and the checksums of a content while it passes by."""

    def __init__(self) -> None:
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]

    def update(self, data: bytes) -> None:
        """Take the next bytes into account."""
        self.size += len(data)
        self._md5.update(data)
        self._crc32c.update(data)

    def digest(self) -> Digest:
        """Return size and checksums of all bytes so far."""
        return Digest(self.size, self._crc32c.digest(), self._md5.digest())


class BlobWriter:
    """A content that is being written, piece by piece; nobody sees it until it is committed."""

    def __init__(self, blob: str, file: FileIO, hasher: Hasher):
        self.blob = blob
        self._file = file
        self._hasher = hasher

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._hasher.size

    def write(self, data: bytes) -> None:
        """Append; raises OutOfSpace if the file system is full."""
        rest = memoryview(data)
        with _disk_errors():
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hasher.update(data)

    def close(self) -> Content:
        """Finish; returns what was written."""
        self._file.close()
        return Content(self.blob, self._hasher.digest())


class BlobStore:
    """Files under one root directory, one for each content."""

    def __init__(self, root: Path, new_id: Callable[[], str] = random_id):
        self._root = root
        self._new_id = new_id
        root.mkdir(parents=True, exist_ok=True)

    def create(self) -> BlobWriter:
        """Start a new content."""
        blob = self._new_id()
        path = self._path(blob)
        with _disk_errors():
            path.parent.mkdir(exist_ok=True)
            file = FileIO(path, "x")
        return BlobWriter(blob, file, Hasher())

    def discard(self, writer: BlobWriter) -> None:
        """Give up a content that was being written."""
        writer.close()
        self.delete(writer.blob)

    def append_to(self, blob: str, hasher: Hasher) -> BlobWriter:
        """Go on with a content of which `hasher` has seen every byte."""
        return BlobWriter(blob, FileIO(self._path(blob), "a"), hasher)

    def open(self, blob: str) -> BinaryIO:
        """Open a content for reading; it stays readable even if deleted meanwhile."""
        return self._path(blob).open("rb")

    def exists(self, blob: str) -> bool:
        """Tell whether a content, whole or growing, is kept."""
        return self._path(blob).exists()

    def size(self, blob: str) -> int:
        """Bytes of a content so far."""
        return self._path(blob).stat().st_size

    def hasher_of(self, blob: str) -> Hasher:
        """Return a hasher that has seen every byte of a content."""
        hasher = Hasher()
        with self.open(blob) as file:
            for data in _pieces(file):
                hasher.update(data)
        return hasher

    def delete(self, blob: str) -> None:
        """Remove a content; one that is gone already is no error."""
        self._path(blob).unlink(missing_ok=True)

    def sweep(self, keep: Collection[str]) -> None:
        """Remove the contents that nothing refers to: what a killed process left unfinished."""
        for path in self._root.glob("??/*"):
            if _ID.fullmatch(path.name) and path.name not in keep:
                path.unlink()

    def concatenate(self, sources: list[BinaryIO]) -> Content:
        """Store the sources' contents, one after the other, as one; has no MD5."""
        writer = self.create()
        try:
            for source in sources:
                for data in _pieces(source):
                    writer.write(data)
        except BaseException:
            self.discard(writer)
            raise
        whole = writer.close()
        return Content(whole.blob, Digest(whole.digest.size, whole.digest.crc32c))

    def _path(self, blob: str) -> Path:
        return self._root / blob[:2] / blob


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(COPY_CHUNK_BYTES):
        yield data


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise OutOfSpace(error.strerror or "no space") from error
        raise
