"""Operations on objects."""

import base64
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from tf_dataflow_serving.services.storage.attributes import merge, object_attributes, without_nulls
from tf_dataflow_serving.services.storage.blobs import BlobStore, BlobWriter
from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.errors import (
    BucketNotFound,
    ChecksumMismatch,
    InvalidArgument,
    ObjectNotFound,
)
from tf_dataflow_serving.services.storage.generations import Clock, Generations
from tf_dataflow_serving.services.storage.listing import ListQuery, Page, list_page
from tf_dataflow_serving.services.storage.names import check_object_name
from tf_dataflow_serving.services.storage.preconditions import UNCONDITIONAL, Preconditions
from tf_dataflow_serving.services.storage.resources import (
    Checksums,
    Content,
    Digest,
    JsonObject,
    StoredObject,
)
from tf_dataflow_serving.services.storage.uploads import Intent

MAX_COMPOSE_SOURCES = 32


@dataclass(frozen=True)
class Source:
    """An object that is read: in any generation if that is None, and when it may be."""

    bucket: str
    name: str
    generation: int | None = None
    preconditions: Preconditions = UNCONDITIONAL


class Objects:
    """The live objects of all buckets.

    A content is written first and referred to by its object only when whole, in one transaction:
    no reader ever sees a part of it.
    """

    def __init__(self, catalog: Catalog, blobs: BlobStore, generations: Generations, clock: Clock):
        self._catalog = catalog
        self._blobs = blobs
        self._generations = generations
        self._clock = clock

    def check(self, intent: Intent) -> None:
        """Raise whatever `commit` would raise now, before any content is sent."""
        check_object_name(intent.name)
        object_attributes(intent.attributes)
        self._require_bucket(intent.bucket)
        intent.preconditions.check(self._catalog.object(intent.bucket, intent.name))

    def new_content(self) -> BlobWriter:
        """Start a content that `commit` makes an object or `discard` removes."""
        return self._blobs.create()

    def discard(self, writer: BlobWriter) -> None:
        """Give up a content that was not committed."""
        self._blobs.discard(writer)

    def commit(
        self,
        intent: Intent,
        content: Content,
        record: Callable[[StoredObject], None] = lambda _: None,
    ) -> StoredObject:
        """Make a whole content an object, in place of the one of that name.

        `record` may change the catalog further, in the same transaction. Raises ChecksumMismatch,
        PreconditionFailed, BucketNotFound or InvalidArgument; the content is then removed.
        """
        try:
            verify(intent.checksums, content.digest)
            with self._catalog.transaction():
                self.check(intent)
                stored, obsolete = self._put(intent, content)
                record(stored)
        except BaseException:
            self._blobs.delete(content.blob)
            raise
        self._remove(obsolete)
        return stored

    def get(self, source: Source) -> StoredObject:
        """Return a live object; raises ObjectNotFound, BucketNotFound or PreconditionFailed."""
        item = self._catalog.object(source.bucket, source.name)
        if item is None:
            self._require_bucket(source.bucket)
            raise ObjectNotFound(source.bucket, source.name)
        if source.generation not in {None, item.generation}:
            raise ObjectNotFound(source.bucket, source.name)
        source.preconditions.check(item)
        return item

    def open(self, source: Source) -> tuple[StoredObject, BinaryIO]:
        """Return a live object and its content, which stays readable whatever happens to it."""
        with self._catalog.transaction():
            item = self.get(source)
            return item, self._blobs.open(item.content.blob)

    def list_page(self, bucket: str, query: ListQuery) -> Page:
        """Return one page of a bucket's objects; raises BucketNotFound."""
        self._require_bucket(bucket)
        return list_page(self._catalog, bucket, query)

    def patch(self, source: Source, changes: JsonObject) -> StoredObject:
        """Change the attributes that `changes` names; null removes one."""
        wanted = object_attributes(changes)
        with self._catalog.transaction():
            item = self.get(source)
            return self._describe(item, merge(item.attributes, wanted))

    def replace(self, source: Source, resource: JsonObject) -> StoredObject:
        """Set the object's attributes to those of `resource` alone."""
        wanted = without_nulls(object_attributes(resource))
        with self._catalog.transaction():
            return self._describe(self.get(source), wanted)

    def delete(self, source: Source) -> None:
        """Delete a live object for good."""
        with self._catalog.transaction():
            item = self.get(source)
            self._catalog.delete_object(item.bucket, item.name)
        self._remove(item.content.blob)

    def copy(self, source: Source, intent: Intent) -> StoredObject:
        """Make `intent` an object with the source's content; its attributes are added."""
        with self._catalog.transaction():
            origin = self.get(source)
            stored, obsolete = self._put_copy(origin, intent)
        self._remove(obsolete)
        return stored

    def move(self, source: Source, intent: Intent) -> StoredObject:
        """Rename an object: the new one appears as the old one vanishes."""
        if (source.bucket, source.name) == (intent.bucket, intent.name):
            raise InvalidArgument("The source and the destination are the same object.")
        with self._catalog.transaction():
            origin = self.get(source)
            stored, obsolete = self._put_copy(origin, intent)
            self._catalog.delete_object(origin.bucket, origin.name)
        self._remove(obsolete)
        return stored

    def compose(self, sources: Sequence[Source], intent: Intent) -> StoredObject:
        """Make the sources' contents, one after the other, one object."""
        if not 0 < len(sources) <= MAX_COMPOSE_SOURCES:
            raise InvalidArgument(
                f"The number of source components must be between 1 and {MAX_COMPOSE_SOURCES}."
            )
        self.check(intent)
        with self._opened(sources) as (items, files):
            content = self._blobs.concatenate(files)
        components = sum(item.content.components or 1 for item in items)
        attributes = {**_composed_attributes(items[0]), **intent.attributes}
        return self.commit(
            dataclasses.replace(intent, attributes=attributes),
            dataclasses.replace(content, components=components),
        )

    @contextmanager
    def _opened(
        self, sources: Sequence[Source]
    ) -> Iterator[tuple[list[StoredObject], list[BinaryIO]]]:
        with ExitStack() as stack:
            with self._catalog.transaction():
                items = [self.get(source) for source in sources]
                files = [stack.enter_context(self._blobs.open(item.content.blob)) for item in items]
            yield items, files

    def _put_copy(self, origin: StoredObject, intent: Intent) -> tuple[StoredObject, str | None]:
        attributes = {**origin.attributes, **without_nulls(intent.attributes)}
        intent = dataclasses.replace(intent, attributes=attributes)
        self.check(intent)
        return self._put(intent, origin.content)

    def _put(self, intent: Intent, content: Content) -> tuple[StoredObject, str | None]:
        """Return the new object, and the content that it replaced if there was one."""
        former = self._catalog.object(intent.bucket, intent.name)
        now = self._clock()
        stored = StoredObject(
            bucket=intent.bucket,
            name=intent.name,
            generation=self._generations.after(now),
            metageneration=1,
            content=content,
            created=now,
            updated=now,
            attributes=without_nulls(object_attributes(intent.attributes)),
        )
        self._catalog.put_object(stored)
        return stored, former.content.blob if former else None

    def _describe(self, item: StoredObject, attributes: JsonObject) -> StoredObject:
        changed = dataclasses.replace(
            item,
            attributes=attributes,
            metageneration=item.metageneration + 1,
            updated=self._clock(),
        )
        self._catalog.put_object(changed)
        return changed

    def _remove(self, blob: str | None) -> None:
        """Remove a content that an object let go of, unless a copy shares it."""
        if blob is None:
            return
        with self._catalog.transaction():
            if not self._catalog.blob_in_use(blob):
                self._blobs.delete(blob)

    def _require_bucket(self, name: str) -> None:
        if not self._catalog.bucket(name):
            raise BucketNotFound(name)


def _composed_attributes(first: StoredObject) -> JsonObject:
    """Only the type is taken over (JSON API, "Objects: compose")."""
    return {name: value for name, value in first.attributes.items() if name == "contentType"}


def verify(announced: Checksums, actual: Digest) -> None:
    """Raise ChecksumMismatch unless the content is the one that was announced."""
    if announced.crc32c not in {None, actual.crc32c}:
        raise _mismatch("CRC32C", announced.crc32c, actual.crc32c)
    if actual.md5 is not None and announced.md5 not in {None, actual.md5}:
        raise _mismatch("MD5", announced.md5, actual.md5)


def _mismatch(algorithm: str, announced: bytes | None, actual: bytes) -> ChecksumMismatch:
    return ChecksumMismatch(
        algorithm, base64.b64encode(announced or b"").decode(), base64.b64encode(actual).decode()
    )
