import asyncio
from collections.abc import Callable

import httpx
import pytest

from tf_dataflow_serving.services.bigquery.errors import BackendFailed, InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore, ObjectUri


@pytest.mark.parametrize(
    "uri",
    ["", "gs://", "gs://bucket", "gs://bucket/", "gs://b*/x", "/x", "file:///x", "gs://b/*/*"],
)
def test_only_objects_of_cloud_storage_are_named(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        ObjectUri.parse(uri)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("gs://b/x", "x", True),
        ("gs://b/x", "xy", False),
        ("gs://b/in/*.json", "in/a.json", True),
        ("gs://b/in/*.json", "in/deep/a.json", True),
        ("gs://b/in/*.json", "in/a.csv", False),
        ("gs://b/ab*ba", "aba", False),
        ("gs://b/*", "anything", True),
    ],
)
def test_a_pattern_stands_for_any_characters(pattern: str, name: str, matches: bool) -> None:
    uri = ObjectUri.parse(pattern)
    assert (uri.matches(name) if uri.is_pattern else uri.name == name) is matches


def test_shards_are_numbered_with_twelve_digits() -> None:
    assert str(ObjectUri.parse("gs://b/out-*.avro").shard(3)) == "gs://b/out-000000000003.avro"
    assert str(ObjectUri.parse("gs://b/out.avro").shard(0)) == "gs://b/out.avro"


def store(answer: Callable[[httpx.Request], httpx.Response]) -> ObjectStore:
    transport = httpx.MockTransport(answer)
    return ObjectStore(httpx.AsyncClient(base_url="http://storage", transport=transport))


def test_every_page_of_a_listing_is_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/storage/v1/b/b/o"
        assert request.url.params["prefix"] == "in/"
        if "pageToken" in request.url.params:
            return httpx.Response(200, json={"items": [{"name": "in/a.json"}]})
        items = [{"name": "in/b.json"}, {"name": "in/c.csv"}]
        return httpx.Response(200, json={"items": items, "nextPageToken": "t"})

    found = asyncio.run(store(answer).find(ObjectUri.parse("gs://b/in/*.json")))
    assert [uri.name for uri in found] == ["in/a.json", "in/b.json"]


def test_names_are_one_segment_of_the_path() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/storage/v1/b/b/o/a%2Fb%20c%3F?alt=media"
        return httpx.Response(200, content=b"content")

    assert asyncio.run(store(answer).read(ObjectUri("b", "a/b c?"))) == b"content"


def test_a_pattern_without_objects_is_not_found() -> None:
    empty = store(lambda _: httpx.Response(200, json={}))
    with pytest.raises(NotFound):
        asyncio.run(empty.find(ObjectUri.parse("gs://b/*")))


def test_failures_of_the_storage_service_are_told_apart() -> None:
    with pytest.raises(NotFound, match="gs://b/x"):
        asyncio.run(store(lambda _: httpx.Response(404)).read(ObjectUri("b", "x")))
    with pytest.raises(BackendFailed, match="500"):
        asyncio.run(store(lambda _: httpx.Response(500)).write(ObjectUri("b", "x"), b""))

    def unreachable(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(BackendFailed, match="refused"):
        asyncio.run(store(unreachable).read(ObjectUri("b", "x")))
