"""Operations on buckets."""

import dataclasses

from tf_dataflow_serving.services.storage.attributes import bucket_settings, merge, without_nulls
from tf_dataflow_serving.services.storage.blobs import BlobStore
from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.errors import (
    BucketAlreadyExists,
    BucketNotEmpty,
    BucketNotFound,
    InvalidArgument,
)
from tf_dataflow_serving.services.storage.generations import Clock, Generations
from tf_dataflow_serving.services.storage.names import check_bucket_name
from tf_dataflow_serving.services.storage.preconditions import UNCONDITIONAL, Preconditions
from tf_dataflow_serving.services.storage.resources import Bucket, JsonObject


class Buckets:
    """The buckets of all projects; a bucket's name is unique among them all."""

    def __init__(self, catalog: Catalog, blobs: BlobStore, generations: Generations, clock: Clock):
        self._catalog = catalog
        self._blobs = blobs
        self._generations = generations
        self._clock = clock

    def create(self, name: str, project: str, resource: JsonObject) -> Bucket:
        """Create an empty bucket; raises BucketAlreadyExists or InvalidArgument."""
        check_bucket_name(name)
        settings = without_nulls(bucket_settings(resource))
        with self._catalog.transaction():
            if self._catalog.bucket(name):
                raise BucketAlreadyExists(name)
            now = self._clock()
            bucket = Bucket(name, project, self._generations.after(now), 1, now, now, settings)
            self._catalog.put_bucket(bucket)
        return bucket

    def get(self, name: str, preconditions: Preconditions = UNCONDITIONAL) -> Bucket:
        """Return a bucket; raises BucketNotFound or PreconditionFailed."""
        bucket = self._catalog.bucket(name)
        if not bucket:
            raise BucketNotFound(name)
        preconditions.check(bucket)
        return bucket

    def list_page(self, project: str, prefix: str, after: str, limit: int) -> list[Bucket]:
        """Return the project's first buckets whose names start with `prefix` and follow `after`."""
        named = [
            bucket
            for bucket in self._catalog.buckets(project)
            if bucket.name.startswith(prefix) and bucket.name > after
        ]
        return named[:limit]

    def patch(self, name: str, changes: JsonObject, preconditions: Preconditions) -> Bucket:
        """Change the settings that `changes` names; null removes one."""
        wanted = bucket_settings(changes)
        with self._catalog.transaction():
            bucket = self.get(name, preconditions)
            return self._configure(bucket, merge(bucket.settings, wanted))

    def replace(self, name: str, resource: JsonObject, preconditions: Preconditions) -> Bucket:
        """Set the bucket's settings to those of `resource` alone."""
        wanted = bucket_settings(resource)
        with self._catalog.transaction():
            return self._configure(self.get(name, preconditions), without_nulls(wanted))

    def delete(self, name: str, preconditions: Preconditions) -> None:
        """Delete an empty bucket; raises BucketNotEmpty if it holds objects."""
        with self._catalog.transaction():
            self.get(name, preconditions)
            if self._catalog.objects_between(name, "", None, 1):
                raise BucketNotEmpty(name)
            unfinished = self._unfinished_blobs(name)
            self._catalog.delete_bucket(name)
        for blob in unfinished:
            self._blobs.delete(blob)

    def _unfinished_blobs(self, name: str) -> list[str]:
        uploads = self._catalog.uploads(name)
        growing = [upload.blob for upload in uploads if upload.blob]
        parts = [part for upload in uploads for part in self._catalog.parts(upload.id)]
        return growing + [part.content.blob for part in parts]

    def _configure(self, bucket: Bucket, settings: JsonObject) -> Bucket:
        if settings.get("location") != bucket.settings.get("location"):
            raise InvalidArgument("The location of a bucket cannot be changed.")
        changed = dataclasses.replace(
            bucket,
            settings=settings,
            metageneration=bucket.metageneration + 1,
            updated=self._clock(),
        )
        self._catalog.put_bucket(changed)
        return changed
