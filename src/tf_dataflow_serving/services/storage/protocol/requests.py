"""Reads what requests say: names, numbers, preconditions, checksums and bodies."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request

from tf_dataflow_serving.services.storage.errors import (
    ContentTooLarge,
    InvalidArgument,
    Unsupported,
)
from tf_dataflow_serving.services.storage.objects import Source
from tf_dataflow_serving.services.storage.preconditions import Preconditions
from tf_dataflow_serving.services.storage.resources import Checksums, JsonObject

MAX_JSON_BYTES = 1 << 20
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_UNSUPPORTED_PARAMETERS = {
    "kmsKeyName": "customer-managed encryption keys",
    "destinationKmsKeyName": "customer-managed encryption keys",
    "softDeleted": "soft-deleted objects and buckets",
    "filter": "list filters",
    "overrideUnlockedRetention": "retention",
}
_UNSUPPORTED_HEADERS = {
    "x-goog-encryption-key": "customer-supplied encryption keys",
    "x-goog-copy-source-encryption-key": "customer-supplied encryption keys",
    "x-goog-encryption-kms-key-name": "customer-managed encryption keys",
    "x-goog-copy-source": "copies through the XML API",
}


def refuse_unsupported(request: Request) -> None:
    """Raise Unsupported if the request asks for what this service would silently not do."""
    for parameter, feature in _UNSUPPORTED_PARAMETERS.items():
        if request.query_params.get(parameter, "false") not in {"false", ""}:
            raise Unsupported(feature)
    for header, feature in _UNSUPPORTED_HEADERS.items():
        if header in request.headers:
            raise Unsupported(feature)


def path_name(request: Request, parameter: str) -> str:
    """Return a bucket's or object's name from the (still percent-encoded) path."""
    return decoded(request.path_params[parameter])


def decoded(text: str) -> str:
    """Undo percent-encoding; raises InvalidArgument unless the result is UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidArgument("Names must be valid UTF-8.") from error


def integer(values: Mapping[str, str], name: str) -> int | None:
    """Return a numeric parameter or header, None if it is absent."""
    text = values.get(name)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise InvalidArgument(f"Invalid value for {name}: {text!r} is no integer of 64 bits.")
    return int(text)


def is_true(values: Mapping[str, str], name: str) -> bool:
    """Tell whether a flag is set."""
    return values.get(name, "").lower() == "true"


def preconditions(request: Request) -> Preconditions:
    """Return the conditions on the object or bucket that the path names."""
    query, headers = request.query_params, request.headers
    return Preconditions(
        generation_match=integer(query, "ifGenerationMatch"),
        generation_not_match=integer(query, "ifGenerationNotMatch"),
        metageneration_match=integer(query, "ifMetagenerationMatch"),
        metageneration_not_match=integer(query, "ifMetagenerationNotMatch"),
        etag_match=_etag(headers.get("if-match")),
        etag_not_match=_etag(headers.get("if-none-match")),
    )


def source_preconditions(request: Request) -> Preconditions:
    """Return the conditions on the object that is copied."""
    query = request.query_params
    return Preconditions(
        generation_match=integer(query, "ifSourceGenerationMatch"),
        generation_not_match=integer(query, "ifSourceGenerationNotMatch"),
        metageneration_match=integer(query, "ifSourceMetagenerationMatch"),
        metageneration_not_match=integer(query, "ifSourceMetagenerationNotMatch"),
    )


def xml_preconditions(request: Request) -> Preconditions:
    """Return the conditions that an XML API request states in its headers."""
    headers = request.headers
    return Preconditions(
        generation_match=integer(headers, "x-goog-if-generation-match"),
        metageneration_match=integer(headers, "x-goog-if-metageneration-match"),
        etag_match=_etag(headers.get("if-match")),
        etag_not_match=_etag(headers.get("if-none-match")),
    )


def named_object(request: Request, conditions: Preconditions) -> Source:
    """Return the object that the path, and perhaps the query, names."""
    return Source(
        bucket=path_name(request, "bucket"),
        name=path_name(request, "object"),
        generation=integer(request.query_params, "generation"),
        preconditions=conditions,
    )


async def bounded_body(request: Request, what: str, limit: int) -> bytes:
    """Return the body; raises ContentTooLarge, having read the rest, if it exceeds `limit`."""
    body = bytearray()
    size = 0
    async for data in request.stream():
        size += len(data)
        if size <= limit:
            body += data
    if size > limit:
        raise ContentTooLarge(what, limit)
    return bytes(body)


async def json_body(request: Request) -> JsonObject:
    """Return the JSON object in the body, an empty one if there is no body."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Unsupported("compressed JSON bodies")
    return json_object(await bounded_body(request, "The JSON body", MAX_JSON_BYTES))


def json_object(text: bytes) -> JsonObject:
    """Parse a JSON object; nothing at all stands for an empty one."""
    try:
        value: Any = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"Parse Error: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument("Parse Error: the body must be a JSON object.")
    return value


def header_checksums(request: Request) -> Checksums:
    """Return the checksums in Content-MD5 and x-goog-hash (`crc32c=...,md5=...`)."""
    pairs = request.headers.get("x-goog-hash", "").split(",")
    hashes = dict(pair.strip().split("=", 1) for pair in pairs if "=" in pair)
    return checksums(hashes.get("md5") or request.headers.get("content-md5"), hashes.get("crc32c"))


def resource_checksums(resource: JsonObject) -> Checksums:
    """Return the checksums that an object resource announces."""
    return checksums(resource.get("md5Hash"), resource.get("crc32c"))


def checksums(md5: Any, crc32c: Any) -> Checksums:
    """Return checksums given in base64, as everywhere in Cloud Storage."""
    return Checksums(_base64("MD5", md5), _base64("CRC32C", crc32c))


def _base64(algorithm: str, text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidArgument(f"Invalid {algorithm} hash: {text!r}") from error


def _etag(header: str | None) -> str | None:
    return header.strip().strip('"') if header else None
