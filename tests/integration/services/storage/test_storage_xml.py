"""The XML API over plain HTTP."""

import base64
import hashlib
from xml.etree import ElementTree

import httpx
import pytest
from google.cloud import storage

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture
def url(bucket: storage.Bucket) -> str:
    return f"{bucket.client._connection.API_BASE_URL}/{bucket.name}"


def text_of(response: httpx.Response, tag: str) -> str:
    document = ElementTree.fromstring(response.text)  # noqa: S314 - from our own service
    return document.findtext(tag, "")


def code_of(response: httpx.Response) -> str:
    return text_of(response, "Code")


def start(url: str) -> str:
    return text_of(httpx.post(url, params={"uploads": ""}), f"{NAMESPACE}UploadId")


def complete(url: str, upload_id: str, parts: list[tuple[int, str]]) -> httpx.Response:
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in parts
    )
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
    return httpx.post(url, params={"uploadId": upload_id}, content=document)


def test_an_object_from_beginning_to_end(bucket: storage.Bucket, url: str) -> None:
    headers = {
        "content-type": "text/plain",
        "x-goog-meta-key": "value",
        "cache-control": "no-store",
    }
    put = httpx.put(f"{url}/dir/a%2Fb", content=b"content", headers=headers)
    assert put.status_code == 200
    stored = bucket.get_blob("dir/a/b")
    assert (stored.metadata, stored.content_type) == ({"key": "value"}, "text/plain")
    got = httpx.get(f"{url}/dir/a/b", headers={"range": "bytes=3-"})
    assert (got.status_code, got.content) == (206, b"tent")
    head = httpx.head(f"{url}/dir/a/b")
    assert (head.headers["content-length"], head.headers["etag"]) == ("7", put.headers["etag"])
    assert head.headers["x-goog-meta-key"] == "value"
    assert httpx.delete(f"{url}/dir/a/b").status_code == 204
    missing = httpx.get(f"{url}/dir/a/b")
    assert (missing.status_code, code_of(missing)) == (404, "NoSuchKey")


def test_preconditions_are_headers(url: str) -> None:
    absent = {"x-goog-if-generation-match": "0"}
    assert httpx.put(f"{url}/x", content=b"1", headers=absent).status_code == 200
    again = httpx.put(f"{url}/x", content=b"2", headers=absent)
    assert (again.status_code, code_of(again)) == (412, "PreconditionFailed")
    assert httpx.get(f"{url}/x").content == b"1"


def test_a_wrong_checksum(url: str) -> None:
    headers = {"content-md5": base64.b64encode(bytes(16)).decode()}
    answer = httpx.put(f"{url}/x", content=b"1", headers=headers)
    assert (answer.status_code, code_of(answer)) == (400, "BadDigest")
    assert httpx.get(f"{url}/x").status_code == 404


def test_parts_in_any_order(url: str) -> None:
    upload_id = start(f"{url}/whole")
    etags = {}
    for number, content in ((7, b"three"), (2, b"x"), (1, b"one "), (2, b"two ")):
        query = {"partNumber": str(number), "uploadId": upload_id}
        part = httpx.put(f"{url}/whole", params=query, content=content)
        etags[number] = part.headers["etag"]
        assert etags[number] == f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    assert httpx.get(f"{url}/whole").status_code == 404
    done = complete(f"{url}/whole", upload_id, sorted(etags.items()))
    assert text_of(done, f"{NAMESPACE}Key") == "whole"
    assert httpx.get(f"{url}/whole").content == b"one two three"
    gone = complete(f"{url}/whole", upload_id, sorted(etags.items()))
    assert (gone.status_code, code_of(gone)) == (404, "NoSuchUpload")


def test_a_cancelled_upload(url: str) -> None:
    upload_id = start(f"{url}/whole")
    query = {"partNumber": "1", "uploadId": upload_id}
    assert httpx.put(f"{url}/whole", params=query, content=b"x").status_code == 200
    assert httpx.delete(f"{url}/whole", params={"uploadId": upload_id}).status_code == 204
    assert httpx.put(f"{url}/whole", params=query, content=b"x").status_code == 404


@pytest.mark.parametrize("number", ["0", "10001", "x", ""])
def test_numbers_no_part_has(url: str, number: str) -> None:
    query = {"partNumber": number, "uploadId": start(f"{url}/whole")}
    assert httpx.put(f"{url}/whole", params=query, content=b"x").status_code == 400


@pytest.mark.parametrize(
    "document",
    [
        "",
        "no document",
        "<CompleteMultipartUpload/>",
        "<C><Part><PartNumber>1</PartNumber><ETag>none</ETag></Part></C>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><C><Part><PartNumber>1</PartNumber></Part></C>',
    ],
)
def test_lists_of_parts_that_make_no_object(url: str, document: str) -> None:
    upload_id = start(f"{url}/whole")
    answer = httpx.post(f"{url}/whole", params={"uploadId": upload_id}, content=document)
    assert answer.status_code == 400
    assert httpx.delete(f"{url}/whole", params={"uploadId": upload_id}).status_code == 204


def test_copies_are_refused_and_not_ignored(url: str) -> None:
    headers = {"x-goog-copy-source": "/bucket/object"}
    assert httpx.put(f"{url}/x", headers=headers).status_code == 501


def test_paths_of_the_json_api_are_no_objects(client: storage.Client) -> None:
    base = client._connection.API_BASE_URL
    if not client.bucket("storage").exists():
        client.create_bucket("storage")
    answer = httpx.put(f"{base}/storage/v1/b/x/unknown", content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 404)
    assert httpx.get(f"{base}/storage/v1/b/x/o/").status_code == 404
