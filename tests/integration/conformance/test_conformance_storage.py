"""google-cloud-storage: uploads, downloads, generations, copies, listings, batches."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    NotFound,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
)
from google.cloud import storage
from google.cloud.storage import transfer_manager

MIB = 1 << 20
CHUNK = 256 * 1024
NAMES = ["plain", "x", "x/y", "x//y", "/leading", "trailing/", "a?b=c&d#e%20f+g", "ü/日本語/🎉"]


@pytest.fixture
def blob(bucket: storage.Bucket) -> storage.Blob:
    made = bucket.blob("dir/source")
    made.metadata = {"key": "value"}
    made.upload_from_string(b"content", content_type="text/plain")
    return made


@pytest.fixture
def other(bucket: storage.Bucket) -> Iterator[storage.Bucket]:
    """A second bucket."""
    made = bucket.client.create_bucket(f"conformance-{uuid4().hex[:12]}")
    yield made
    made.delete(force=True)


def names(bucket: storage.Bucket, **options: str) -> list[str]:
    return [found.name for found in bucket.list_blobs(**options)]


class TestUploads:
    @pytest.mark.parametrize("size", [0, CHUNK, CHUNK + 1, 2 * MIB + 5])
    @pytest.mark.parametrize("chunk_size", [None, CHUNK], ids=["whole", "resumable"])
    def test_what_goes_up_comes_down(
        self, bucket: storage.Bucket, size: int, chunk_size: int | None
    ) -> None:
        content = os.urandom(size)
        uploaded = bucket.blob("object", chunk_size=chunk_size)
        uploaded.upload_from_file(io.BytesIO(content), size=size)
        assert bucket.blob("object").download_as_bytes() == content
        assert bucket.get_blob("object").size == size

    def test_a_size_that_is_not_known(self, bucket: storage.Bucket) -> None:
        content = os.urandom(3 * CHUNK + 17)
        with bucket.blob("object").open("wb", chunk_size=CHUNK) as file:
            for start in range(0, len(content), 100_000):
                file.write(content[start : start + 100_000])
        with bucket.blob("object").open("rb", chunk_size=CHUNK) as file:
            assert file.read() == content

    def test_parts_at_once(self, bucket: storage.Bucket, tmp_path: Path) -> None:
        content = os.urandom(11 * MIB + 3)
        (tmp_path / "source").write_bytes(content)
        blob = bucket.blob("dir//a+b ü%2F")
        blob.metadata = {"key": "value"}
        transfer_manager.upload_chunks_concurrently(
            tmp_path / "source",
            blob,
            chunk_size=5 * MIB,
            worker_type=transfer_manager.THREAD,
            max_workers=3,
        )
        found = bucket.get_blob(blob.name)
        assert found.download_as_bytes() == content
        assert found.metadata == {"key": "value"}

    def test_many_files_at_once(self, bucket: storage.Bucket, tmp_path: Path) -> None:
        expected = {f"file-{number}": os.urandom(number * 1000) for number in range(8)}
        for name, content in expected.items():
            (tmp_path / name).write_bytes(content)
        results = transfer_manager.upload_many_from_filenames(
            bucket,
            list(expected),
            source_directory=str(tmp_path),
            worker_type=transfer_manager.THREAD,
        )
        assert results == [None] * len(expected)
        found = {blob.name: blob.download_as_bytes() for blob in bucket.list_blobs()}
        assert found == expected

    @pytest.mark.parametrize("checksum", ["md5", "crc32c"])
    def test_checksums_are_verified(self, bucket: storage.Bucket, checksum: str) -> None:
        content = os.urandom(MIB)
        blob = bucket.blob("object")
        blob.upload_from_string(content, checksum=checksum)
        assert blob.download_as_bytes(checksum=checksum) == content
        blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
        with pytest.raises(BadRequest):
            blob.upload_from_string(b"other", checksum=None)
        assert bucket.blob("object").download_as_bytes() == content


class TestDownloads:
    @pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 6), (7, None), (0, 99), (-4, None)])
    def test_ranges(self, bucket: storage.Bucket, start: int, end: int | None) -> None:
        bucket.blob("object").upload_from_string(b"0123456789")
        expected = b"0123456789"[start : None if end is None else end + 1]
        assert bucket.blob("object").download_as_bytes(start=start, end=end) == expected

    def test_a_range_behind_the_end(self, bucket: storage.Bucket) -> None:
        bucket.blob("object").upload_from_string(b"0123456789")
        with pytest.raises(RequestRangeNotSatisfiable):
            bucket.blob("object").download_as_bytes(start=10)

    def test_chunks_at_once(self, bucket: storage.Bucket, tmp_path: Path) -> None:
        content = os.urandom(3 * MIB + 5)
        bucket.blob("object").upload_from_string(content)
        transfer_manager.download_chunks_concurrently(
            bucket.blob("object"),
            tmp_path / "object",
            chunk_size=MIB,
            worker_type=transfer_manager.THREAD,
            max_workers=3,
        )
        assert (tmp_path / "object").read_bytes() == content

    def test_what_is_missing(self, bucket: storage.Bucket) -> None:
        with pytest.raises(NotFound):
            bucket.blob("missing").download_as_bytes()
        with pytest.raises(NotFound):
            bucket.blob("missing").delete()
        assert bucket.get_blob("missing") is None


class TestNames:
    def test_those_that_nest_live_side_by_side(self, bucket: storage.Bucket) -> None:
        for name in NAMES:
            bucket.blob(name).upload_from_string(name)
        assert {blob.name: blob.download_as_text() for blob in bucket.list_blobs()} == {
            name: name for name in NAMES
        }

    def test_an_object_beside_objects_below_it(self, bucket: storage.Bucket) -> None:
        bucket.blob("x/y").upload_from_string("below")
        bucket.blob("x").upload_from_string("above")
        bucket.blob("x/y/z").upload_from_string("far below")
        bucket.blob("x").delete()
        assert names(bucket) == ["x/y", "x/y/z"]
        assert bucket.blob("x/y").download_as_text() == "below"


class TestGenerations:
    def test_only_if_absent(self, bucket: storage.Bucket) -> None:
        bucket.blob("object").upload_from_string("first", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            bucket.blob("object").upload_from_string("second", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            resumable = bucket.blob("object", chunk_size=CHUNK)
            resumable.upload_from_string(os.urandom(MIB), if_generation_match=0)
        assert bucket.blob("object").download_as_text() == "first"

    def test_one_that_is_gone(self, bucket: storage.Bucket, blob: storage.Blob) -> None:
        former = blob.generation
        bucket.blob(blob.name).upload_from_string("newer")
        with pytest.raises(NotFound):
            bucket.blob(blob.name, generation=former).download_as_bytes()
        with pytest.raises(PreconditionFailed):
            bucket.blob(blob.name).delete(if_generation_match=former)
        assert bucket.get_blob(blob.name).generation > former
        assert bucket.blob(blob.name).download_as_text() == "newer"

    def test_metagenerations(self, bucket: storage.Bucket, blob: storage.Blob) -> None:
        blob.metadata = {"key": "other"}
        blob.patch(if_metageneration_match=1)
        assert blob.metageneration == 2
        with pytest.raises(PreconditionFailed):
            blob.patch(if_metageneration_match=1)
        assert bucket.get_blob(blob.name).metadata == {"key": "other"}


class TestMetadata:
    def test_it_comes_back(self, bucket: storage.Bucket) -> None:
        metadata = {"plain": "value", "with space": "x", "empty": ""}
        blob = bucket.blob("object")
        blob.metadata = metadata
        blob.cache_control = "no-store"
        blob.content_disposition = "attachment"
        blob.content_language = "de"
        blob.upload_from_string("x", content_type="text/x-own; charset=utf-8")
        found = bucket.get_blob("object")
        assert (found.metadata, found.cache_control) == (metadata, "no-store")
        assert found.content_type == "text/x-own; charset=utf-8"
        assert (found.content_disposition, found.content_language) == ("attachment", "de")

    def test_it_is_patched(self, bucket: storage.Bucket, blob: storage.Blob) -> None:
        blob.metadata = {"key": None, "other": "1"}
        blob.patch()
        assert bucket.get_blob(blob.name).metadata == {"other": "1"}
        assert bucket.blob(blob.name).download_as_bytes() == b"content"


class TestCopies:
    def test_copy(self, bucket: storage.Bucket, other: storage.Bucket, blob: storage.Blob) -> None:
        copied = bucket.copy_blob(blob, other, "copy/ü")
        blob.delete()
        found = other.get_blob("copy/ü")
        assert found.download_as_bytes() == b"content"
        assert (found.metadata, found.content_type) == ({"key": "value"}, "text/plain")
        assert found.generation == copied.generation != blob.generation

    def test_rewrite(self, bucket: storage.Bucket, blob: storage.Blob) -> None:
        token, rewritten, total = bucket.blob("target").rewrite(blob)
        assert (token, rewritten, total) == (None, 7, 7)
        assert bucket.blob("target").download_as_bytes() == b"content"

    def test_rename(self, bucket: storage.Bucket, blob: storage.Blob) -> None:
        bucket.rename_blob(blob, "new//name")
        assert names(bucket) == ["new//name"]
        assert bucket.blob("new//name").download_as_bytes() == b"content"

    def test_compose(self, bucket: storage.Bucket) -> None:
        contents = [os.urandom(300_000), b"", os.urandom(5)]
        sources = [bucket.blob(f"part-{number}") for number in range(len(contents))]
        for source, content in zip(sources, contents, strict=True):
            source.upload_from_string(content)
        bucket.blob("whole").compose(sources)
        found = bucket.get_blob("whole")
        assert found.download_as_bytes() == b"".join(contents)
        assert (found.component_count, found.md5_hash) == (3, None)

    def test_compose_onto_what_must_not_be_there(
        self, bucket: storage.Bucket, blob: storage.Blob
    ) -> None:
        with pytest.raises(PreconditionFailed):
            blob.compose([blob, blob], if_generation_match=0)
        with pytest.raises(NotFound):
            bucket.blob("whole").compose([blob, bucket.blob("missing")])
        assert names(bucket) == [blob.name]
        assert blob.download_as_bytes() == b"content"


class TestListings:
    @pytest.fixture
    def filled(self, bucket: storage.Bucket) -> storage.Bucket:
        for name in ("a/1", "a/2", "a/b/3", "c", "c/4", "d"):
            bucket.blob(name).upload_from_string(name)
        return bucket

    @pytest.mark.parametrize("page_size", [1, 2, 4, 100])
    def test_pages(self, filled: storage.Bucket, page_size: int) -> None:
        pages = [[b.name for b in page] for page in filled.list_blobs(page_size=page_size).pages]
        assert max(len(page) for page in pages) <= page_size
        assert [name for page in pages for name in page] == ["a/1", "a/2", "a/b/3", "c", "c/4", "d"]

    def test_folders(self, filled: storage.Bucket) -> None:
        listing = filled.list_blobs(prefix="a/", delimiter="/")
        assert [blob.name for blob in listing] == ["a/1", "a/2"]
        assert listing.prefixes == {"a/b/"}
        top = filled.list_blobs(delimiter="/")
        assert [blob.name for blob in top] == ["c", "d"]
        assert top.prefixes == {"a/", "c/"}

    def test_offsets_and_limits(self, filled: storage.Bucket) -> None:
        assert names(filled, start_offset="a/2", end_offset="c/4") == ["a/2", "a/b/3", "c"]
        assert [blob.name for blob in filled.list_blobs(max_results=2)] == ["a/1", "a/2"]

    def test_globs(self, filled: storage.Bucket) -> None:
        assert names(filled, match_glob="a/*") == ["a/1", "a/2"]
        assert names(filled, match_glob="**/{3,4}") == ["a/b/3", "c/4"]


class TestBatches:
    def test_deletes(self, bucket: storage.Bucket) -> None:
        written = [f"dir/ü {number}" for number in range(30)]
        for name in written:
            bucket.blob(name).upload_from_string("x")
        with bucket.client.batch():
            for name in written:
                bucket.blob(name).delete()
        assert names(bucket) == []

    def test_one_that_partly_fails(self, bucket: storage.Bucket) -> None:
        bucket.blob("there").upload_from_string("x")
        batch = bucket.client.batch(raise_exception=False)
        with batch:
            bucket.blob("missing").delete()
            bucket.blob("there").delete()
        assert names(bucket) == []

    def test_gets_and_patches(self, bucket: storage.Bucket) -> None:
        blobs = [bucket.blob(f"b/{number}") for number in range(3)]
        for number, blob in enumerate(blobs):
            blob.upload_from_string("x" * number)
        with bucket.client.batch():
            for blob in blobs:
                blob.reload()
        assert [blob.size for blob in blobs] == [0, 1, 2]
        with bucket.client.batch():
            for blob in blobs:
                blob.metadata = {"name": blob.name}
                blob.patch()
        found = [bucket.get_blob(blob.name).metadata for blob in blobs]
        assert found == [{"name": blob.name} for blob in blobs]


class TestBuckets:
    def test_a_name_is_taken_once(self, bucket: storage.Bucket) -> None:
        assert bucket.client.lookup_bucket(bucket.name).name == bucket.name
        with pytest.raises(Conflict):
            bucket.client.create_bucket(bucket.name)

    def test_they_are_listed(self, bucket: storage.Bucket, other: storage.Bucket) -> None:
        listed = {found.name for found in bucket.client.list_buckets(prefix="conformance-")}
        assert listed >= {bucket.name, other.name}

    def test_one_with_objects_is_not_deleted(
        self, bucket: storage.Bucket, blob: storage.Blob
    ) -> None:
        with pytest.raises(Conflict):
            bucket.delete()
        assert bucket.blob(blob.name).download_as_bytes() == b"content"

    def test_deleting_one_leaves_the_others(
        self, bucket: storage.Bucket, blob: storage.Blob
    ) -> None:
        second = bucket.client.create_bucket(f"conformance-{uuid4().hex[:12]}")
        second.blob(blob.name).upload_from_string("its own")
        second.delete(force=True)
        assert second.client.lookup_bucket(second.name) is None
        assert bucket.blob(blob.name).download_as_bytes() == b"content"
