"""Shows buckets and objects as JSON resources and as headers.

Sources: Cloud Storage JSON API, "Buckets" and "Objects" resource representations; XML API,
"HTTP headers and query string parameters".
"""

import base64
import re
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tf_dataflow_serving.services.storage.resources import Bucket, Digest, StoredObject

DEFAULT_CONTENT_TYPE = "application/octet-stream"
_HEADER_ATTRIBUTES = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentLanguage": "Content-Language",
}
_METADATA_HEADER = "x-goog-meta-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def json_response(resource: Any, status: int = 200) -> Response:
    """Answer with a JSON resource and its ETag, if it has one."""
    etag = {"ETag": resource["etag"]} if "etag" in resource else {}
    return Response(orjson.dumps(resource), status, etag, media_type="application/json")


def base_url(request: Request) -> str:
    """Return the address that this client reaches the service under."""
    return str(request.base_url).rstrip("/")


def bucket_resource(bucket: Bucket, base: str) -> dict[str, Any]:
    """Return the bucket's JSON resource.

    There is no `projectNumber`: a client that finds one may look the project up elsewhere.
    """
    defaults = {
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
    }
    return {
        **defaults,
        **bucket.settings,
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base}/storage/v1/b/{quote(bucket.name, safe='')}",
        "generation": str(bucket.generation),
        "metageneration": str(bucket.metageneration),
        "etag": bucket.etag,
        "timeCreated": _timestamp(bucket.created),
        "updated": _timestamp(bucket.updated),
    }


def object_resource(item: StoredObject, base: str) -> dict[str, Any]:
    """Return the object's JSON resource; numbers of 64 bits are strings there."""
    path = f"storage/v1/b/{quote(item.bucket, safe='')}/o/{quote(item.name, safe='')}"
    digest = item.content.digest
    created = _timestamp(item.created)
    resource = {
        "storageClass": "STANDARD",
        **item.attributes,
        "kind": "storage#object",
        "id": f"{item.bucket}/{item.name}/{item.generation}",
        "bucket": item.bucket,
        "name": item.name,
        "selfLink": f"{base}/{path}",
        "mediaLink": f"{base}/download/{path}?generation={item.generation}&alt=media",
        "generation": str(item.generation),
        "metageneration": str(item.metageneration),
        "etag": item.etag,
        "size": str(digest.size),
        "crc32c": base64.b64encode(digest.crc32c).decode(),
        "timeCreated": created,
        "timeFinalized": created,
        "timeStorageClassUpdated": created,
        "updated": _timestamp(item.updated),
    }
    if digest.md5 is not None:
        resource["md5Hash"] = base64.b64encode(digest.md5).decode()
    if item.content.components is not None:
        resource["componentCount"] = item.content.components
    return resource


def object_headers(item: StoredObject) -> dict[str, str]:
    """Return the headers that go with an object's content, but for those on its encoding."""
    attributes = item.attributes
    headers = {
        "Content-Type": attributes.get("contentType") or DEFAULT_CONTENT_TYPE,
        "ETag": f'"{item.etag}"',
        "Last-Modified": format_datetime(item.updated, usegmt=True),
        "x-goog-generation": str(item.generation),
        "x-goog-metageneration": str(item.metageneration),
        "x-goog-storage-class": attributes.get("storageClass", "STANDARD"),
        "x-goog-stored-content-encoding": attributes.get("contentEncoding") or "identity",
        "x-goog-stored-content-length": str(item.content.digest.size),
    }
    for attribute, header in _HEADER_ATTRIBUTES.items():
        if attributes.get(attribute):
            headers[header] = attributes[attribute]
    for name, value in attributes.get("metadata", {}).items():
        headers[_METADATA_HEADER + name] = value
    return {name: value for name, value in headers.items() if _fits_header(name, value)}


def hash_header(digest: Digest) -> str:
    """Return a content's checksums as `x-goog-hash` shows them."""
    hashes = [f"crc32c={base64.b64encode(digest.crc32c).decode()}"]
    if digest.md5 is not None:
        hashes.append(f"md5={base64.b64encode(digest.md5).decode()}")
    return ",".join(hashes)


def _fits_header(name: str, value: str) -> bool:
    """Metadata may hold any text, headers may not; the rest is in the JSON resource only.

    Source: RFC 9110, sections 5.1 and 5.5.
    """
    return bool(_TOKEN.fullmatch(name)) and value.isascii() and value.isprintable()


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
