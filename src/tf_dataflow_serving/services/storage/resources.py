"""Buckets and objects as values."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class Digest:
    """What identifies a content: its size in bytes and its checksums.

    `md5` is None for content that was assembled from parts, as in the real service.
    """

    size: int
    crc32c: bytes
    md5: bytes | None = None


@dataclass(frozen=True)
class Content:
    """A whole, immutable content that lies in the blob store under an opaque id."""

    blob: str
    digest: Digest
    components: int | None = None
    """How many sources it was composed of; None if it was uploaded as one."""


@dataclass(frozen=True)
class Checksums:
    """Checksums that a client announced for a content; None where it announced none."""

    md5: bytes | None = None
    crc32c: bytes | None = None


NO_CHECKSUMS = Checksums()


@dataclass(frozen=True)
class Bucket:
    """A bucket; `settings` are the writable fields of its JSON resource as the user gave them."""

    name: str
    project: str
    generation: int
    metageneration: int
    created: datetime
    updated: datetime
    settings: JsonObject = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """Changes whenever the bucket does."""
        return _etag(self.generation, self.metageneration)


@dataclass(frozen=True)
class StoredObject:
    """A live object; `attributes` are the writable fields of its JSON resource."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    content: Content
    created: datetime
    updated: datetime
    attributes: JsonObject = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """Changes whenever the object's content or metadata does."""
        return _etag(self.generation, self.metageneration)


def _etag(generation: int, metageneration: int) -> str:
    return base64.b64encode(f"{generation}/{metageneration}".encode()).decode()
