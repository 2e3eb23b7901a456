"""Contents through google-cloud-storage: up in every way, down whole and in ranges."""

import base64
import gzip
import io
import json
import os
from pathlib import Path

import httpx
import pytest
from google.api_core.exceptions import (
    BadRequest,
    GoogleAPICallError,
    MethodNotImplemented,
    NotFound,
)
from google.cloud import storage

MIB = 1 << 20
CHUNK = 256 * 1024
NAMES = [
    "plain",
    "x",
    "x/y",
    "x//y",
    "/leading",
    "trailing/",
    "..",
    "../../etc/passwd",
    "a/../b",
    "./a",
    "a?b=c&d#e%20f+g",
    "100%",
    "space and\ttab",
    "ünïcödé/日本語/🎉",
    "e\u0301 is not é",
    "quote'\"<&>\\",
    "n" * 1024,
]


@pytest.mark.parametrize("name", [name for name in NAMES if name != ".."])
def test_any_name_holds_its_own_content(bucket: storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string(name.encode())
    assert bucket.blob(name).download_as_bytes() == name.encode()
    assert bucket.get_blob(name).name == name
    assert [blob.name for blob in bucket.list_blobs()] == [name]
    bucket.blob(name).delete()
    assert not bucket.blob(name).exists()


def test_names_that_nest_live_side_by_side(bucket: storage.Bucket) -> None:
    names = [name for name in NAMES if name != ".."]
    for name in names:
        bucket.blob(name).upload_from_string(name)
    assert {b.name: b.download_as_text() for b in bucket.list_blobs()} == {n: n for n in names}


@pytest.mark.parametrize("name", ["..", ".", "a\nb", "a\rb", "n" * 1025])
def test_names_that_the_real_service_refuses(bucket: storage.Bucket, name: str) -> None:
    with pytest.raises(BadRequest):
        bucket.blob(name).upload_from_string("content")


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * MIB + 5])
@pytest.mark.parametrize("chunk_size", [None, CHUNK])
def test_what_goes_up_comes_down(bucket: storage.Bucket, size: int, chunk_size: int | None) -> None:
    content = os.urandom(size)
    bucket.blob("object", chunk_size=chunk_size).upload_from_file(io.BytesIO(content), size=size)
    assert bucket.blob("object").download_as_bytes() == content
    assert bucket.blob("object", chunk_size=CHUNK).download_as_bytes() == content
    assert bucket.get_blob("object").size == size


def test_reading_an_empty_object(bucket: storage.Bucket) -> None:
    bucket.blob("empty").upload_from_string(b"")
    assert bucket.blob("empty").download_as_bytes() == b""
    with bucket.blob("empty").open("rb") as file:
        assert file.read() == b""


def test_files(bucket: storage.Bucket, tmp_path: Path) -> None:
    source, target = tmp_path / "source.csv", tmp_path / "target.csv"
    source.write_bytes(os.urandom(2 * MIB))
    blob = bucket.blob("file.csv")
    blob.upload_from_filename(source)
    blob.download_to_filename(target)
    assert target.read_bytes() == source.read_bytes()
    assert blob.content_type == "text/csv"


def test_a_precompressed_object_arrives_as_the_client_asks(bucket: storage.Bucket) -> None:
    text = b"repetitive " * 300_000
    compressed = gzip.compress(text)
    blob = bucket.blob("object")
    blob.content_encoding = "gzip"
    blob.upload_from_string(compressed, content_type="text/plain")
    assert blob.download_as_bytes() == text
    assert blob.download_as_bytes(raw_download=True) == compressed
    url = f"{bucket.client._connection.API_BASE_URL}/download/storage/v1/b/{bucket.name}/o/object"
    plain = httpx.get(url, params={"alt": "media"}, headers={"accept-encoding": "identity"})
    assert plain.content == text


def test_a_precompressed_object_of_several_members(bucket: storage.Bucket) -> None:
    blob = bucket.blob("object")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"one ") + gzip.compress(b"two"))
    url = f"{bucket.client._connection.API_BASE_URL}/download/storage/v1/b/{bucket.name}/o/object"
    plain = httpx.get(url, params={"alt": "media"}, headers={"accept-encoding": "identity"})
    assert plain.content == b"one two"


def test_metadata_comes_back(bucket: storage.Bucket) -> None:
    metadata = {"plain": "value", "with space": "x", "ünï": "cödé", "a:b": "c", "empty": ""}
    blob = bucket.blob("object")
    blob.metadata = metadata
    blob.cache_control = "no-store"
    blob.content_disposition = "attachment"
    blob.content_language = "de"
    blob.upload_from_string("x", content_type="text/x-own; charset=utf-8")
    found = bucket.get_blob("object")
    assert found.metadata == metadata
    assert found.content_type == "text/x-own; charset=utf-8"
    assert found.cache_control == "no-store"
    assert found.content_disposition == "attachment"
    assert found.content_language == "de"
    assert found.download_as_bytes() == b"x"


def test_metadata_can_be_patched_and_removed(bucket: storage.Bucket) -> None:
    blob = bucket.blob("object")
    blob.metadata = {"a": "1", "b": "2"}
    blob.upload_from_string("x")
    blob.metadata = {"a": None, "c": "3"}
    blob.patch()
    found = bucket.get_blob("object")
    assert found.metadata == {"b": "2", "c": "3"}
    assert (found.metageneration, found.generation) == (2, blob.generation)


@pytest.mark.parametrize("field", ["contentType", "cacheControl", "contentEncoding"])
def test_a_field_of_the_wrong_type_is_refused(bucket: storage.Bucket, field: str) -> None:
    bucket.blob("object").upload_from_string("x")
    url = f"{bucket.client._connection.API_BASE_URL}/storage/v1/b/{bucket.name}/o/object"
    assert httpx.patch(url, json={field: 5}).status_code == 400
    assert httpx.patch(url, json={"metadata": {"a": 1}}).status_code == 400
    assert bucket.blob("object").download_as_bytes() == b"x"


@pytest.mark.parametrize("checksum", ["md5", "crc32c", "auto", None])
@pytest.mark.parametrize("size", [10, 9 * MIB])
def test_checksums_are_verified_by_both_sides(
    bucket: storage.Bucket, checksum: str | None, size: int
) -> None:
    content = os.urandom(size)
    bucket.blob("object").upload_from_file(io.BytesIO(content), size=size, checksum=checksum)
    assert bucket.blob("object").download_as_bytes(checksum=checksum) == content


@pytest.mark.parametrize("field", ["md5Hash", "crc32c"])
def test_a_content_that_is_not_the_announced_one(bucket: storage.Bucket, field: str) -> None:
    blob = bucket.blob("object")
    length = {"md5Hash": 16, "crc32c": 4}[field]
    blob._properties[field] = base64.b64encode(bytes(length)).decode()
    blob._changes.add(field)
    with pytest.raises(BadRequest, match="hash"):
        blob.upload_from_string("content", checksum=None)
    assert not bucket.blob("object").exists()


def test_a_resumable_upload_that_is_not_the_announced_one(bucket: storage.Bucket) -> None:
    base = bucket.client._connection.API_BASE_URL
    started = httpx.post(
        f"{base}/upload/storage/v1/b/{bucket.name}/o",
        params={"uploadType": "resumable", "name": "object"},
        json={"crc32c": base64.b64encode(bytes(4)).decode()},
    )
    location = started.headers["location"]
    assert httpx.put(location, content=b"content").status_code == 400
    assert not bucket.blob("object").exists()
    assert httpx.put(location, content=b"content").status_code == 404


def test_a_resumable_upload_goes_on_after_a_broken_connection(bucket: storage.Bucket) -> None:
    base = bucket.client._connection.API_BASE_URL
    content = os.urandom(CHUNK + 1000)
    location = httpx.post(
        f"{base}/upload/storage/v1/b/{bucket.name}/o",
        params={"uploadType": "resumable", "name": "object"},
    ).headers["location"]
    status = {"content-range": f"bytes */{len(content)}"}
    assert "range" not in httpx.put(location, headers=status).headers
    first = {"content-range": f"bytes 0-{CHUNK - 1}/{len(content)}"}
    assert httpx.put(location, content=content[:CHUNK], headers=first).status_code == 308
    kept = httpx.put(location, headers=status)
    assert (kept.status_code, kept.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    rest = {"content-range": f"bytes {CHUNK}-{len(content) - 1}/{len(content)}"}
    done = httpx.put(location, content=content[CHUNK:], headers=rest)
    assert (done.status_code, done.json()["size"]) == (200, str(len(content)))
    again = httpx.put(location, headers=status)
    assert (again.status_code, again.json()) == (200, done.json())
    assert bucket.blob("object").download_as_bytes() == content


def test_a_cancelled_upload_is_gone(bucket: storage.Bucket) -> None:
    base = bucket.client._connection.API_BASE_URL
    location = httpx.post(
        f"{base}/upload/storage/v1/b/{bucket.name}/o",
        params={"uploadType": "resumable", "name": "object"},
    ).headers["location"]
    assert httpx.delete(location).status_code == 499
    assert httpx.put(location, content=b"x").status_code == 404
    assert not bucket.blob("object").exists()


def test_what_is_not_emulated_is_refused_and_not_ignored(bucket: storage.Bucket) -> None:
    with pytest.raises(MethodNotImplemented):
        bucket.blob("object", encryption_key=os.urandom(32)).upload_from_string(os.urandom(MIB))
    with pytest.raises(GoogleAPICallError, match="versioning"):
        bucket.versioning_enabled = True
        bucket.patch()
    assert not bucket.blob("object").exists()


def test_what_is_missing(client: storage.Client, bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound):
        bucket.blob("missing").download_as_bytes()
    with pytest.raises(NotFound):
        bucket.blob("missing").delete()
    with pytest.raises(NotFound):
        client.bucket("no-such-bucket-here").blob("x").upload_from_string("x")
    with pytest.raises(NotFound):
        client.bucket("no-such-bucket-here").blob("x").upload_from_string(b"x" * 9 * MIB)
    assert bucket.get_blob("missing") is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=multipart", b"no boundary"),
        ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=media", b"no name"),
        ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=odd&name=x", b""),
        ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=x", b"[1]"),
        ("POST", "/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=x", b"{"),
        ("PUT", "/upload/storage/v1/b/{bucket}/o?uploadType=resumable", b"x"),
        ("GET", "/storage/v1/b/{bucket}/o?maxResults=many", b""),
        ("GET", "/storage/v1/b/{bucket}/o?pageToken=***", b""),
        ("GET", "/storage/v1/b/{bucket}/o?pageToken=_w", b""),
        ("GET", "/storage/v1/b/{bucket}/o?matchGlob=%7Ba", b""),
        ("GET", "/storage/v1/b/{bucket}/o/%FF", b""),
        ("DELETE", "/storage/v1/b/{bucket}/o/x?ifGenerationMatch=one", b""),
        ("POST", "/storage/v1/b/{bucket}/o/x/compose", b'{"sourceObjects": "x"}'),
        ("POST", "/storage/v1/b/{bucket}/o/x/compose", b'{"sourceObjects": []}'),
        ("POST", "/storage/v1/b/{bucket}/o/x/compose", b'{"destination": 5}'),
        ("POST", "/batch/storage/v1", b"no boundary"),
    ],
)
def test_nonsense_is_the_callers_fault(
    bucket: storage.Bucket, method: str, path: str, body: bytes
) -> None:
    base = bucket.client._connection.API_BASE_URL
    response = httpx.request(method, base + path.format(bucket=bucket.name), content=body)
    assert response.status_code == 400, response.text
    assert json.loads(response.text)["error"]["message"]


def test_a_part_of_a_body_makes_no_object(bucket: storage.Bucket) -> None:
    url = f"{bucket.client._connection.API_BASE_URL}/upload/storage/v1/b/{bucket.name}/o"
    body = b'--b\r\n\r\n{"name": "object"}\r\n--b\r\n\r\ncontent that ends without its bound'
    headers = {"content-type": "multipart/related; boundary=b"}
    answer = httpx.post(url, params={"uploadType": "multipart"}, content=body, headers=headers)
    assert answer.status_code == 400
    assert not bucket.blob("object").exists()
