"""Changes through google-cloud-storage: copies, moves, deletions, and on which conditions."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.cloud import storage
from google.cloud.storage import transfer_manager

MIB = 1 << 20


@pytest.fixture
def blob(bucket: storage.Bucket) -> storage.Blob:
    blob = bucket.blob("dir/source")
    blob.metadata = {"key": "value"}
    blob.upload_from_string(b"content", content_type="text/plain")
    return blob


def test_rewrite_onto_itself(bucket: storage.Bucket, blob: storage.Blob) -> None:
    blob.update_storage_class("NEARLINE")
    found = bucket.get_blob(blob.name)
    assert (found.storage_class, found.download_as_bytes()) == ("NEARLINE", b"content")


def test_move(bucket: storage.Bucket, blob: storage.Blob) -> None:
    bucket.move_blob(blob, "moved")
    assert [one.name for one in bucket.list_blobs()] == ["moved"]
    assert bucket.get_blob("moved").metadata == {"key": "value"}


def test_compose(bucket: storage.Bucket) -> None:
    contents = [os.urandom(300_000), b"", os.urandom(5)]
    sources = [bucket.blob(f"part-{number}") for number in range(len(contents))]
    for source, content in zip(sources, contents, strict=True):
        source.upload_from_string(content)
    bucket.blob("whole").compose(sources)
    found = bucket.get_blob("whole")
    assert found.download_as_bytes() == b"".join(contents)
    assert (found.component_count, found.md5_hash) == (3, None)
    sources[0].compose([sources[0], found])
    assert sources[0].download_as_bytes() == contents[0] + b"".join(contents)


def test_compose_onto_what_must_not_be_there(bucket: storage.Bucket, blob: storage.Blob) -> None:
    with pytest.raises(PreconditionFailed):
        blob.compose([blob, blob], if_generation_match=0)
    with pytest.raises(NotFound):
        bucket.blob("whole").compose([blob, bucket.blob("missing")])
    with pytest.raises(BadRequest):
        bucket.blob("whole").compose([blob] * 33)
    assert blob.download_as_bytes() == b"content"


def test_metageneration(bucket: storage.Bucket, blob: storage.Blob) -> None:
    blob.metadata = {"key": "other"}
    blob.patch(if_metageneration_match=1)
    with pytest.raises(PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(blob, bucket, "copy", if_source_metageneration_match=1)


def test_nothing_new_to_read(bucket: storage.Bucket, blob: storage.Blob) -> None:
    base = bucket.client._connection.API_BASE_URL
    url = f"{base}/storage/v1/b/{bucket.name}/o/dir%2Fsource"
    unchanged = {"ifGenerationNotMatch": str(blob.generation)}
    assert httpx.get(url, params=unchanged).status_code == 304
    assert (
        httpx.get(url, headers={"if-none-match": httpx.get(url).headers["etag"]}).status_code == 304
    )


def test_a_batch_of_deletes(client: storage.Client, bucket: storage.Bucket) -> None:
    names = [f"dir/ü {number}" for number in range(100)]
    for name in names:
        bucket.blob(name).upload_from_string("x")
    with client.batch():
        for name in names:
            bucket.blob(name).delete()
    assert not list(bucket.list_blobs())


def test_a_batch_that_partly_fails(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.blob("there").upload_from_string("x")
    batch = client.batch(raise_exception=False)
    with batch:
        bucket.blob("missing").delete()
        bucket.blob("there").delete()
    assert [response.status_code for response in batch._responses] == [404, 204]
    assert not bucket.blob("there").exists()


def test_buckets(client: storage.Client, bucket: storage.Bucket) -> None:
    assert client.bucket(bucket.name).exists()
    bucket.labels = {"team": "a"}
    bucket.patch()
    assert client.get_bucket(bucket.name).labels == {"team": "a"}
    with pytest.raises(Conflict):
        client.create_bucket(bucket.name)
    bucket.blob("x").upload_from_string("x")
    with pytest.raises(Conflict):
        bucket.delete()
    bucket.delete(force=True)
    assert client.lookup_bucket(bucket.name) is None
    with pytest.raises(NotFound):
        client.get_bucket(bucket.name)


@pytest.mark.parametrize("name", ["UPPER", "ab", "a" * 64, "a..b", "-ab", "ab-", "a/b"])
def test_names_no_bucket_has(client: storage.Client, name: str) -> None:
    with pytest.raises((BadRequest, ValueError)):
        client.create_bucket(name)


def test_clients_at_once(new_client: Callable[[], storage.Client], bucket: storage.Bucket) -> None:
    """Many writers of one name: one wins, and readers never see a mixture."""
    contents = [bytes([number]) * MIB for number in range(8)]
    clients = [new_client() for _ in contents]

    def write_and_read(client: storage.Client, content: bytes) -> tuple[bool, bytes]:
        mine = client.bucket(bucket.name)
        mine.blob(f"own/{content[0]}").upload_from_string(content)
        mine.blob("shared").upload_from_string(content)
        try:
            mine.blob("once").upload_from_string(content, if_generation_match=0)
        except PreconditionFailed:
            return False, mine.blob("shared").download_as_bytes()
        return True, mine.blob("shared").download_as_bytes()

    with ThreadPoolExecutor(len(contents)) as pool:
        outcomes = list(pool.map(write_and_read, clients, contents))
    assert [won for won, _ in outcomes].count(True) == 1
    assert all(seen in contents for _, seen in outcomes)
    assert [blob.download_as_bytes() for blob in bucket.list_blobs(prefix="own/")] == contents


@pytest.mark.parametrize("checksum", ["md5", "crc32c", None])
def test_upload_chunks_concurrently(
    bucket: storage.Bucket, tmp_path: Path, checksum: str | None
) -> None:
    content = os.urandom(11 * MIB + 3)
    (tmp_path / "source").write_bytes(content)
    blob = bucket.blob("dir//a+b ü%2F")
    blob.metadata = {"key": "value"}
    blob.content_type = "text/x-own"
    transfer_manager.upload_chunks_concurrently(
        tmp_path / "source",
        blob,
        chunk_size=5 * MIB,
        worker_type=transfer_manager.THREAD,
        max_workers=3,
        checksum=checksum,
    )
    found = bucket.get_blob(blob.name)
    assert found.download_as_bytes() == content
    assert (found.metadata, found.content_type) == ({"key": "value"}, "text/x-own")
    assert (found.component_count, found.md5_hash) == (3, None)
