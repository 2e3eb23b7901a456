"""Uploads in progress as values: resumable ones, which grow, and multipart ones, of parts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tf_dataflow_serving.services.storage.preconditions import UNCONDITIONAL, Preconditions
from tf_dataflow_serving.services.storage.resources import (
    NO_CHECKSUMS,
    Checksums,
    Content,
    JsonObject,
)

LIFETIME = timedelta(weeks=1)
"""An upload can be continued this long (documentation of resumable uploads)."""


@dataclass(frozen=True)
class Intent:
    """The object that an upload is to become, and when it may."""

    bucket: str
    name: str
    attributes: JsonObject = field(default_factory=dict)
    preconditions: Preconditions = UNCONDITIONAL
    checksums: Checksums = NO_CHECKSUMS


@dataclass(frozen=True)
class Upload:
    """An upload that was started; `generation` is the finished object's, None until then."""

    id: str
    intent: Intent
    started: datetime
    blob: str | None = None
    """Where a resumable upload grows; None for a multipart upload."""
    total: int | None = None
    """Size in bytes, if announced at the start."""
    generation: int | None = None

    @property
    def is_multipart(self) -> bool:
        """A multipart upload has parts instead of a blob, and is gone once it is finished."""
        return self.blob is None and self.generation is None


@dataclass(frozen=True)
class Part:
    """A numbered piece of a multipart upload."""

    number: int
    content: Content

    @property
    def etag(self) -> str:
        """The part's identity: its MD5 in hexadecimal digits."""
        return (self.content.digest.md5 or b"").hex()
