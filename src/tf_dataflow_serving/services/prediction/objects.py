"""Objects on gs://, by way of a storage service that is not Google's."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests
from google.api_core.exceptions import (
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    RetryError,
    ServerError,
    TooManyRequests,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from tf_dataflow_serving.services.prediction.errors import (
    InvalidArgument,
    StorageFailed,
    StorageUnavailable,
)

_SCHEME = "gs://"
_TIMEOUT_SECONDS = 30.0
# The end of the service waits for calls under way, and has 10 s in all.
_RETRY = DEFAULT_RETRY.with_timeout(3.0)
_LIMITS: dict[str, Any] = {"timeout": _TIMEOUT_SECONDS, "retry": _RETRY}
_WILDCARD = re.compile(r"\*\*|\*|\?")
_WILDCARDS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
# AI Platform Prediction, "Deploying models": at most 1,000 files and 500 MB in a model.
_MAX_MODEL_FILES = 1_000
_MAX_MODEL_BYTES = 500 * 1024 * 1024
# Of an object that is read as a file, a request fetches so much; so much is read for nothing when
# the reader stops.
_CHUNK_BYTES = 512 * 1024
# The metadata of an object that tells who wrote it: kept with its content or not at all.
_WRITER = "written-by"
_AWAY = (TooManyRequests, ServerError, RetryError, requests.RequestException)


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object: what is written over it later is another one."""

    uri: str
    size: int
    generation: int


class ObjectStore:
    """Reads and writes gs:// URIs; threads may use it at the same time.

    All of it raises StorageFailed when the storage service refuses, StorageUnavailable when it is
    away for 3 s.
    """

    def __init__(self, url: str) -> None:
        self._client = storage.Client(
            project="prediction",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": url},
        )

    def matching(self, pattern: str) -> list[StoredObject]:
        """Return the objects that a pattern matches, in the order of their names.

        `*` and `?` stand for characters other than `/`, `**` for any characters.
        """
        bucket, name = split(pattern)
        literal = _WILDCARD.split(name, maxsplit=1)[0]
        matches = re.compile(_expression(name), re.DOTALL).fullmatch
        return [
            StoredObject(f"{_SCHEME}{bucket}/{blob.name}", blob.size, blob.generation)
            for blob in self._list(bucket, literal)
            if matches(blob.name)
        ]

    @contextmanager
    def open(self, source: StoredObject) -> Iterator[IO[bytes]]:
        """Give an object as a file that fetches what is read of it.

        Also raises StorageFailed when this generation of it is not there any more.
        """
        bucket, name = split(source.uri)
        blob = self._client.bucket(bucket).blob(name, generation=source.generation)
        with _storage_failures(source.uri):
            chunks: Any = blob.open("rb", chunk_size=_CHUNK_BYTES, **_LIMITS)
            try:
                yield io.BufferedReader(chunks)
            except NotFound as error:
                raise StorageFailed(
                    f"{source.uri} was deleted or written over since the job began."
                ) from error

    def upload(self, source: Path, uri: str, writer: str) -> None:
        """Copy a file to an object that is the writer's, in place of one that may be there."""
        bucket, name = split(uri)
        blob = self._client.bucket(bucket).blob(name)
        blob.metadata = {_WRITER: writer}
        with _storage_failures(uri):
            blob.upload_from_filename(str(source), **_LIMITS)

    def delete(self, uri: str, writer: str) -> None:
        """Delete an object, if it is there and still as this writer uploaded it."""
        bucket, name = split(uri)
        with _storage_failures(uri), suppress(NotFound, PreconditionFailed):
            blob = self._client.bucket(bucket).get_blob(name, **_LIMITS)
            if blob and (blob.metadata or {}).get(_WRITER) == writer:
                blob.delete(if_generation_match=blob.generation, **_LIMITS)

    def download_model(self, uri: str, directory: Path) -> None:
        """Copy all objects below a URI into a directory, as far as a model may be that big."""
        bucket, name = split(f"{uri.rstrip('/')}/")
        blobs = [blob for blob in self._list(bucket, name) if not blob.name.endswith("/")]
        size = sum(blob.size or 0 for blob in blobs)
        if len(blobs) > _MAX_MODEL_FILES or size > _MAX_MODEL_BYTES:
            raise StorageFailed(
                f"{len(blobs)} files of {size} bytes in {uri} exceed the allowed maximum of"
                f" {_MAX_MODEL_FILES} files and {_MAX_MODEL_BYTES} bytes."
            )
        for blob in blobs:
            self._download_into(directory, blob.name.removeprefix(name), blob)

    def _download_into(self, directory: Path, name: str, blob: Any) -> None:
        target = (directory / name).resolve()
        if not target.is_relative_to(directory.resolve()):
            raise StorageFailed(f"The name of object {blob.name} leads out of its directory.")
        with _storage_failures(blob.name):
            target.parent.mkdir(parents=True, exist_ok=True)
            blob.download_to_filename(str(target), **_LIMITS)

    def _list(self, bucket: str, prefix: str) -> list[Any]:
        with _storage_failures(f"{_SCHEME}{bucket}/{prefix}"):
            return list(self._client.list_blobs(bucket, prefix=prefix, **_LIMITS))


def split(uri: str) -> tuple[str, str]:
    """Return bucket and name of a gs:// URI; raises InvalidArgument."""
    bucket, _, name = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket or not name:
        raise InvalidArgument("uri", f"{uri!r} is not of the form gs://bucket/object.")
    return bucket, name


def _expression(pattern: str) -> str:
    literals = map(re.escape, _WILDCARD.split(pattern))
    wildcards = (_WILDCARDS[found] for found in _WILDCARD.findall(pattern))
    return "".join(
        literal + wildcard for literal, wildcard in zip(literals, [*wildcards, ""], strict=True)
    )


@contextmanager
def _storage_failures(subject: str) -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        raise StorageUnavailable(f"{subject}: {error}") from error
    except (GoogleAPIError, OSError) as error:
        raise StorageFailed(f"{subject}: {error}") from error
