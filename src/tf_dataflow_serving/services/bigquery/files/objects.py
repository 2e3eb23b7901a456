"""Reads and writes gs:// objects of load and extract jobs, over Cloud Storage's JSON API."""

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx

from tf_dataflow_serving.services.bigquery.errors import BackendFailed, InvalidRequest, NotFound

_URI = re.compile(r"gs://(?P<bucket>[^/*]+)/(?P<name>.+)", re.DOTALL)
_SHARD_DIGITS = 12


@dataclass(frozen=True)
class ObjectUri:
    """gs://bucket/name; the name may hold one `*`, which stands for any characters."""

    bucket: str
    name: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Raises InvalidRequest for anything but gs://bucket/name with one `*` at most."""
        match = _URI.fullmatch(uri)
        if match is None or match["name"].count("*") > 1:
            raise InvalidRequest(f"Source URI must be a Google Cloud Storage location: {uri}")
        return cls(match["bucket"], match["name"])

    @property
    def is_pattern(self) -> bool:
        """Whether the name holds a `*`."""
        return "*" in self.name

    def matches(self, name: str) -> bool:
        """Whether an object's name is one that this pattern stands for."""
        prefix, _, suffix = self.name.partition("*")
        long_enough = len(name) >= len(prefix) + len(suffix)
        return long_enough and name.startswith(prefix) and name.endswith(suffix)

    def shard(self, index: int) -> "ObjectUri":
        """The object of one shard of an extract job: `*` becomes twelve digits."""
        return ObjectUri(self.bucket, self.name.replace("*", f"{index:0{_SHARD_DIGITS}d}"))

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}"


@dataclass(frozen=True)
class ObjectStore:
    """The storage service at the base URL of `client`."""

    client: httpx.AsyncClient

    async def find(self, uri: ObjectUri) -> list[ObjectUri]:
        """The objects that a URI or pattern names, in order of name; raises NotFound if none."""
        if not uri.is_pattern:
            return [uri]
        names = [name for name in await self._names(uri) if uri.matches(name)]
        if not names:
            raise NotFound(f"Not found: URI {uri}", str(uri))
        return [ObjectUri(uri.bucket, name) for name in sorted(names)]

    async def _names(self, pattern: ObjectUri) -> list[str]:
        prefix = pattern.name.partition("*")[0]
        names: list[str] = []
        page: dict[str, str] = {}
        while True:
            path = f"/storage/v1/b/{quote(pattern.bucket, safe='')}/o"
            params = {"prefix": prefix, **page}
            response = await self._answer(pattern, self.client.get(path, params=params))
            listing: dict[str, Any] = response.json()
            names += [item["name"] for item in listing.get("items", ())]
            if not listing.get("nextPageToken"):
                return names
            page = {"pageToken": listing["nextPageToken"]}

    async def read(self, uri: ObjectUri) -> bytes:
        """The content of one object; raises NotFound."""
        path = f"/storage/v1/b/{quote(uri.bucket, safe='')}/o/{quote(uri.name, safe='')}"
        response = await self._answer(uri, self.client.get(path, params={"alt": "media"}))
        return response.content

    async def write(self, uri: ObjectUri, content: bytes) -> None:
        """Create or replace one object; raises NotFound if its bucket does not exist."""
        upload = self.client.post(
            f"/upload/storage/v1/b/{quote(uri.bucket, safe='')}/o",
            params={"uploadType": "media", "name": uri.name},
            content=content,
            headers={"content-type": "application/octet-stream"},
        )
        await self._answer(uri, upload)

    async def _answer(self, uri: ObjectUri, call: Awaitable[httpx.Response]) -> httpx.Response:
        try:
            response = await call
        except httpx.HTTPError as error:
            message = f"The storage service at {self.client.base_url} failed: {error!r}"
            raise BackendFailed(message, str(uri)) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"Not found: URI {uri}", str(uri))
        if response.is_error:
            message = f"The storage service answered {response.status_code} for {uri}"
            raise BackendFailed(message, str(uri))
        return response
