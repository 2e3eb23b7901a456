"""Uploads that arrive in several requests and survive broken connections.

Source: Cloud Storage documentation, "Resumable uploads" and "Perform resumable uploads".
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tf_dataflow_serving.services.storage.blobs import BlobStore, BlobWriter, Hasher
from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.errors import InvalidArgument, UploadBusy, UploadNotFound
from tf_dataflow_serving.services.storage.generations import Clock
from tf_dataflow_serving.services.storage.objects import Objects, Source
from tf_dataflow_serving.services.storage.resources import Checksums, Content, StoredObject
from tf_dataflow_serving.services.storage.uploads import LIFETIME, Intent, Upload

CHUNK_MULTIPLE = 256 * 1024


@dataclass(frozen=True)
class Chunk:
    """The bytes that one request carries.

    `start` is the offset of the first, `length` their number (None: until the body ends), `total`
    the size of the whole (None: not known yet).
    """

    start: int = 0
    length: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far an upload is: the bytes kept, and the object once it is one."""

    persisted: int
    finished: StoredObject | None = None


class ChunkWriter:
    """Takes the bytes of one chunk, leaving out what is kept already or not to be kept yet."""

    def __init__(
        self, writer: BlobWriter, skip: int, keep: int | None, release: Callable[[], None]
    ):
        self._writer = writer
        self._skip = skip
        self._keep = keep
        self._release = release

    @property
    def persisted(self) -> int:
        """Bytes of the upload that are kept."""
        return self._writer.size

    def write(self, data: bytes) -> None:
        """Take the next bytes of the chunk."""
        fresh = data[self._skip :]
        self._skip = max(0, self._skip - len(data))
        if self._keep is not None:
            fresh = fresh[: self._keep]
            self._keep -= len(fresh)
        if fresh:
            self._writer.write(fresh)

    def close(self) -> None:
        """Let other requests go on with the upload."""
        self._writer.close()
        self._release()


class ResumableUploads:
    """The resumable uploads of all buckets; one request at a time may write to each."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        objects: Objects,
        clock: Clock,
        new_id: Callable[[], str],
    ):
        self._catalog = catalog
        self._blobs = blobs
        self._objects = objects
        self._clock = clock
        self._new_id = new_id
        self._hashers: dict[str, Hasher] = {}
        self._writing: set[str] = set()
        self._writing_lock = threading.Lock()

    def start(self, intent: Intent, total: int | None) -> str:
        """Begin an upload of `total` bytes (None: not known yet); returns its id."""
        self.expire()
        with self._catalog.transaction():
            self._objects.check(intent)
            writer = self._blobs.create()
            writer.close()
            upload = Upload(self._new_id(), intent, self._clock(), writer.blob, total)
            self._catalog.put_upload(upload)
        return upload.id

    def progress(self, upload_id: str) -> Progress:
        """Tell how far an upload is; raises UploadNotFound."""
        upload = self._get(upload_id)
        if upload.generation is not None:
            return self._finished(upload, upload.generation)
        return Progress(self._blobs.size(_blob(upload)))

    def open_chunk(self, upload_id: str, chunk: Chunk) -> ChunkWriter:
        """Begin to take a chunk; the caller must close the writer that this returns.

        Raises UploadNotFound, UploadBusy, or InvalidArgument if bytes before the chunk are
        missing. A chunk that is not the last is kept in multiples of 256 KiB only.
        """
        self._claim(upload_id)
        try:
            upload = self._get(upload_id)
            if upload.generation is not None:
                raise InvalidArgument("The upload is complete already.")
            hasher = self._hasher(upload)
            skip, keep = _kept_part(chunk, hasher.size, upload.total)
            writer = self._blobs.append_to(_blob(upload), hasher)
        except BaseException:
            self._release(upload_id)
            raise
        return ChunkWriter(writer, skip, keep, lambda: self._release(upload_id))

    def conclude(self, upload_id: str, total: int, checksums: Checksums) -> Progress:
        """Make the upload an object if all of its `total` bytes are here; else tell how far it is.

        Raises ChecksumMismatch or PreconditionFailed; the upload is then gone.
        """
        with self._claimed(upload_id):
            upload = self._get(upload_id)
            if upload.generation is not None:
                return self._finished(upload, upload.generation)
            hasher = self._hasher(upload)
            if hasher.size != total:
                return Progress(hasher.size)
            return self._finish(upload, Content(_blob(upload), hasher.digest()), checksums)

    def cancel(self, upload_id: str) -> None:
        """Forget an upload and what has arrived of it; raises UploadNotFound."""
        with self._claimed(upload_id):
            self._drop(self._get(upload_id))

    def expire(self) -> None:
        """Forget the uploads, finished or not, that were started over a week ago."""
        for upload in self._catalog.uploads_before(self._clock() - LIFETIME):
            # One that is being written to, or gone by now, is none to forget.
            with suppress(UploadBusy, UploadNotFound):
                self.cancel(upload.id)

    def _finish(self, upload: Upload, content: Content, checksums: Checksums) -> Progress:
        announced = upload.intent.checksums
        checksums = Checksums(checksums.md5 or announced.md5, checksums.crc32c or announced.crc32c)
        intent = dataclasses.replace(upload.intent, checksums=checksums)

        def finished(stored: StoredObject) -> None:
            self._catalog.put_upload(
                dataclasses.replace(upload, blob=None, generation=stored.generation)
            )

        try:
            stored = self._objects.commit(intent, content, record=finished)
        except BaseException:
            self._forget(upload)
            raise
        self._hashers.pop(upload.id, None)
        return Progress(content.digest.size, stored)

    def _finished(self, upload: Upload, generation: int) -> Progress:
        stored = self._objects.get(Source(upload.intent.bucket, upload.intent.name, generation))
        return Progress(stored.content.digest.size, stored)

    def _get(self, upload_id: str) -> Upload:
        upload = self._catalog.upload(upload_id)
        if upload is None or upload.is_multipart:
            raise UploadNotFound(upload_id)
        # A process that is killed while it refuses a content may have got as far as the blob.
        if upload.blob is not None and not self._blobs.exists(upload.blob):
            raise UploadNotFound(upload_id)
        return upload

    def _hasher(self, upload: Upload) -> Hasher:
        """Return the hasher of what is kept; after a restart it has to read all of it again."""
        hasher = self._hashers.get(upload.id)
        if hasher is None or hasher.size != self._blobs.size(_blob(upload)):
            hasher = self._blobs.hasher_of(_blob(upload))
            self._hashers[upload.id] = hasher
        return hasher

    @contextmanager
    def _claimed(self, upload_id: str) -> Iterator[None]:
        """Keep other requests from the upload; what is known of it before may be out of date."""
        self._claim(upload_id)
        try:
            yield
        finally:
            self._release(upload_id)

    def _claim(self, upload_id: str) -> None:
        with self._writing_lock:
            if upload_id in self._writing:
                raise UploadBusy(upload_id)
            self._writing.add(upload_id)

    def _release(self, upload_id: str) -> None:
        with self._writing_lock:
            self._writing.discard(upload_id)

    def _drop(self, upload: Upload) -> None:
        self._forget(upload)
        if upload.blob:
            self._blobs.delete(upload.blob)

    def _forget(self, upload: Upload) -> None:
        self._hashers.pop(upload.id, None)
        self._catalog.delete_upload(upload.id)


def _blob(upload: Upload) -> str:
    if upload.blob is None:
        raise UploadNotFound(upload.id)
    return upload.blob


def _kept_part(chunk: Chunk, persisted: int, total: int | None) -> tuple[int, int | None]:
    """Return how many bytes of the chunk to leave out at its start, and how many then to keep."""
    if chunk.start > persisted:
        raise InvalidArgument(
            f"The chunk begins at byte {chunk.start}, but only {persisted} bytes were received."
        )
    if total is not None and chunk.total not in {None, total}:
        raise InvalidArgument(f"The upload was announced with {total} bytes, not {chunk.total}.")
    skip = persisted - chunk.start
    if chunk.length is None:
        return skip, None
    end = chunk.start + chunk.length
    if end != chunk.total:
        end -= end % CHUNK_MULTIPLE
    return skip, max(0, end - persisted)
