"""Puts the storage together on a directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tf_dataflow_serving.services.storage.blobs import BlobStore, random_id
from tf_dataflow_serving.services.storage.buckets import Buckets
from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.generations import Clock, Generations
from tf_dataflow_serving.services.storage.multipart import MultipartUploads
from tf_dataflow_serving.services.storage.objects import Objects
from tf_dataflow_serving.services.storage.resumable import ResumableUploads


@dataclass(frozen=True)
class Storage:
    """All operations, by what they are about."""

    buckets: Buckets
    objects: Objects
    resumable: ResumableUploads
    multipart: MultipartUploads


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


@contextmanager
def open_storage(
    directory: Path, clock: Clock = utc_now, new_id: Callable[[], str] = random_id
) -> Iterator[Storage]:
    """Open the storage kept in `directory`, or start one there.

    Raises DataDirectoryInUse if another process has it open.
    """
    directory.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(directory / "catalog.sqlite3")
    try:
        blobs = BlobStore(directory / "blobs", new_id)
        blobs.sweep(catalog.all_blobs())
        generations = Generations(catalog.last_generation())
        objects = Objects(catalog, blobs, generations, clock)
        yield Storage(
            Buckets(catalog, blobs, generations, clock),
            objects,
            ResumableUploads(catalog, blobs, objects, clock, new_id),
            MultipartUploads(catalog, blobs, objects, clock, new_id),
        )
    finally:
        catalog.close()
