"""Uploads whose numbered parts arrive in any order, several at once.

Source: Cloud Storage documentation, "XML API multipart uploads".
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tf_dataflow_serving.services.storage.blobs import BlobStore, BlobWriter
from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.errors import InvalidArgument, UploadNotFound
from tf_dataflow_serving.services.storage.generations import Clock
from tf_dataflow_serving.services.storage.objects import Objects, verify
from tf_dataflow_serving.services.storage.resources import Checksums, StoredObject
from tf_dataflow_serving.services.storage.uploads import LIFETIME, Intent, Part, Upload

MAX_PARTS = 10_000


class MultipartUploads:
    """The multipart uploads of all buckets."""

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

    def start(self, intent: Intent) -> str:
        """Begin an upload; returns its id."""
        self._objects.check(intent)
        self.expire()
        upload = Upload(self._new_id(), intent, self._clock())
        self._catalog.put_upload(upload)
        return upload.id

    def discard(self, writer: BlobWriter) -> None:
        """Give up the content of a part that was not added."""
        self._blobs.discard(writer)

    def new_part(self, upload_id: str, number: int) -> BlobWriter:
        """Start the content of a part; raises UploadNotFound or InvalidArgument."""
        self._get(upload_id)
        if not 0 < number <= MAX_PARTS:
            raise InvalidArgument(f"Part numbers go from 1 to {MAX_PARTS}.")
        return self._blobs.create()

    def add_part(self, upload_id: str, part: Part, checksums: Checksums) -> None:
        """Keep a whole part, in place of the one of its number."""
        try:
            verify(checksums, part.content.digest)
            with self._catalog.transaction():
                self._get(upload_id)
                former = [
                    old for old in self._catalog.parts(upload_id) if old.number == part.number
                ]
                self._catalog.put_part(upload_id, part)
        except BaseException:
            self._blobs.delete(part.content.blob)
            raise
        self._remove(former)

    def complete(self, upload_id: str, wanted: Sequence[tuple[int, str]]) -> StoredObject:
        """Make the parts, named by number and ETag in rising order, one object."""
        upload = self._get(upload_id)
        obsolete = self._catalog.parts(upload_id)
        parts = _chosen(obsolete, wanted)
        with ExitStack() as stack:
            files = [stack.enter_context(self._blobs.open(part.content.blob)) for part in parts]
            whole = self._blobs.concatenate(files)
        stored = self._objects.commit(
            upload.intent,
            dataclasses.replace(whole, components=len(parts)),
            record=lambda _: self._catalog.delete_upload(upload_id),
        )
        self._remove(obsolete)
        return stored

    def cancel(self, upload_id: str) -> None:
        """Forget an upload and its parts; raises UploadNotFound."""
        self._drop(self._get(upload_id))

    def expire(self) -> None:
        """Forget the uploads that were started over a week ago."""
        for upload in self._catalog.uploads_before(self._clock() - LIFETIME):
            if upload.is_multipart:
                self._drop(upload)

    def _get(self, upload_id: str) -> Upload:
        upload = self._catalog.upload(upload_id)
        if upload is None or not upload.is_multipart:
            raise UploadNotFound(upload_id)
        return upload

    def _drop(self, upload: Upload) -> None:
        parts = self._catalog.parts(upload.id)
        self._catalog.delete_upload(upload.id)
        self._remove(parts)

    def _remove(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._blobs.delete(part.content.blob)


def _chosen(kept: Sequence[Part], wanted: Sequence[tuple[int, str]]) -> list[Part]:
    numbers = [number for number, _ in wanted]
    if not numbers or numbers != sorted(set(numbers)):
        raise InvalidArgument("The parts must be named once each, in rising order.")
    known = {(part.number, part.etag): part for part in kept}
    missing = [number for number, etag in wanted if (number, etag) not in known]
    if missing:
        raise InvalidArgument(f"No such part, or with another ETag: {missing}")
    return [known[key] for key in wanted]
