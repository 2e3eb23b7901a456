"""The edge, without a socket: what refused requests leave behind, and what failures look like."""

from typing import Any
from xml.etree import ElementTree

import anyio
import httpx
import pytest

from tf_dataflow_serving.services.storage.protocol.application import application

RELATED = b"--b\r\n\r\n%s\r\n--b\r\n\r\ncontent\r\n--b--"
UNFINISHED = RELATED.removesuffix(b"\r\n--b--")
AS_RELATED = {"content-type": "multipart/related; boundary=b"}


def call(bench: Any, method: str, path: str, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(application(bench.storage))
        async with httpx.AsyncClient(transport=transport, base_url="http://storage") as client:
            return await client.request(method, path, **request)

    return anyio.run(send)


@pytest.mark.parametrize(
    ("kind", "query", "request_"),
    [
        ("media", {}, {"content": b"content"}),
        ("media", {"name": "x", "ifGenerationMatch": "a"}, {"content": b"content"}),
        ("media", {"name": "x"}, {"content": b"c", "headers": {"x-goog-hash": "md5=?"}}),
        ("multipart", {}, {"content": RELATED % b"{}", "headers": AS_RELATED}),
        ("multipart", {"name": "x"}, {"content": RELATED % b"{", "headers": AS_RELATED}),
        ("multipart", {"name": "x"}, {"content": RELATED % b"[]", "headers": AS_RELATED}),
        ("multipart", {"name": "x"}, {"content": UNFINISHED % b"{}", "headers": AS_RELATED}),
        (
            "multipart",
            {"name": "x"},
            {"content": RELATED % b'{"md5Hash": 5}', "headers": AS_RELATED},
        ),
    ],
)
def test_a_refused_upload_leaves_nothing(
    bench: Any, kind: str, query: dict[str, str], request_: dict[str, Any]
) -> None:
    path = "/upload/storage/v1/b/bucket/o"
    answer = call(bench, "POST", path, params={"uploadType": kind, **query}, **request_)
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == "invalid"
    assert bench.blobs() == []


@pytest.mark.parametrize(
    "headers", [{"content-md5": "?"}, {"x-goog-if-generation-match": "x"}, {"content-md5": "eA=="}]
)
def test_a_refused_xml_upload_leaves_nothing(bench: Any, headers: dict[str, str]) -> None:
    answer = call(bench, "PUT", "/bucket/object", content=b"content", headers=headers)
    assert answer.status_code == 400
    assert ElementTree.fromstring(answer.text).tag == "Error"  # noqa: S314 - from our own service
    assert bench.blobs() == []


def test_a_refused_part_leaves_nothing(bench: Any) -> None:
    query = {"partNumber": "1", "uploadId": "none"}
    assert call(bench, "PUT", "/bucket/object", params=query, content=b"x").status_code == 404
    assert bench.blobs() == []


def test_a_large_body_is_refused_by_its_limit(bench: Any) -> None:
    answer = call(bench, "PATCH", "/storage/v1/b/bucket", content=b" " * (2 << 20))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/upload/storage/v1/b/b/o", "/download/storage/v1/b/b/o/x", "/batch"]
)
def test_a_batch_holds_no_uploads_downloads_or_batches(bench: Any, path: str) -> None:
    part = f"--b\r\nContent-Type: application/http\r\n\r\nGET {path} HTTP/1.1\r\n\r\n\r\n--b--"
    headers = {"content-type": "multipart/mixed; boundary=b"}
    answer = call(bench, "POST", "/batch/storage/v1", content=part, headers=headers)
    assert (answer.status_code, path in answer.text) == (400, True)


def test_a_batch_has_a_limit(bench: Any) -> None:
    part = "--b\r\nContent-Type: application/http\r\n\r\nGET /storage/v1/b/bucket HTTP/1.1\r\n\r\n"
    headers = {"content-type": "multipart/mixed; boundary=b"}
    for count, status in ((100, 200), (101, 400)):
        body = part * count + "\r\n--b--"
        answer = call(bench, "POST", "/batch/storage/v1", content=body, headers=headers)
        assert answer.status_code == status


@pytest.mark.parametrize("path", ["/storage/v1/nothing", "/storage/v1/b/bucket/iam", "/batch"])
def test_what_the_json_api_does_not_have(bench: Any, path: str) -> None:
    answer = call(bench, "PUT", path)
    assert answer.status_code in {404, 405}
    assert answer.json()["error"]["code"] == answer.status_code
