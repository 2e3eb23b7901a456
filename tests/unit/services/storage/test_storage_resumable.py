"""Resumable uploads: any way of cutting, repeating and breaking off gives the same bytes."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage.errors import (
    BucketNotFound,
    ChecksumMismatch,
    InvalidArgument,
    ObjectNotFound,
    PreconditionFailed,
    UploadBusy,
    UploadNotFound,
)
from tf_dataflow_serving.services.storage.objects import Source
from tf_dataflow_serving.services.storage.preconditions import UNCONDITIONAL, Preconditions
from tf_dataflow_serving.services.storage.resources import NO_CHECKSUMS, Checksums
from tf_dataflow_serving.services.storage.resumable import CHUNK_MULTIPLE, Chunk
from tf_dataflow_serving.services.storage.uploads import LIFETIME, Intent

INTENT = Intent("bucket", "object")


def send(bench: Any, upload_id: str, chunk: Chunk, data: bytes) -> int:
    writer = bench.storage.resumable.open_chunk(upload_id, chunk)
    try:
        writer.write(data)
    finally:
        writer.close()
    return writer.persisted


def finish(bench: Any, upload_id: str, content: bytes) -> Any:
    send(bench, upload_id, Chunk(0, len(content), len(content)), content)
    return bench.storage.resumable.conclude(upload_id, len(content), NO_CHECKSUMS).finished


@dataclass(frozen=True)
class Attempt:
    """A chunk of `length` bytes, begun `back` bytes before the end of what is kept."""

    back: int
    length: int
    arriving: float
    """Which part of it arrives before the connection breaks."""


sizes = st.one_of(
    st.integers(0, 3 * CHUNK_MULTIPLE + 7),
    st.integers(0, 3).map(lambda count: count * CHUNK_MULTIPLE),
)
attempts = st.builds(
    Attempt, back=sizes, length=sizes, arriving=st.one_of(st.just(1.0), st.floats(0, 1))
)


@settings(deadline=None, max_examples=50)
@given(total=sizes, plan=st.lists(attempts, max_size=8), announced=st.booleans())
def test_any_split_and_repetition_gives_the_same_bytes(
    new_bench: Any, total: int, plan: list[Attempt], announced: bool
) -> None:
    content = random.Random(total).randbytes(total)
    with new_bench() as bench:
        upload_id = bench.storage.resumable.start(INTENT, total if announced else None)
        kept = 0
        for attempt in plan:
            start = max(0, kept - attempt.back)
            end = min(total, start + attempt.length)
            if start == end:
                continue
            arriving = content[start : start + int((end - start) * attempt.arriving)]
            before, kept = kept, send(bench, upload_id, Chunk(start, end - start, total), arriving)
            assert before <= kept <= max(before, start + len(arriving))
            assert kept == bench.storage.resumable.progress(upload_id).persisted
        send(bench, upload_id, Chunk(kept, total - kept, total), content[kept:])
        done = bench.storage.resumable.conclude(upload_id, total, NO_CHECKSUMS)
        assert done.finished.content.digest.size == total
        assert bench.read("object") == content
        assert bench.blobs() == [content]


def test_what_is_not_a_multiple_is_sent_again(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    data = bytes(CHUNK_MULTIPLE + 5)
    assert send(bench, upload_id, Chunk(0, len(data), None), data) == CHUNK_MULTIPLE


def test_bytes_beyond_the_announced_chunk_are_not_kept(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    assert send(bench, upload_id, Chunk(0, 3, 3), b"12345") == 3


def test_a_gap_is_refused(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    with pytest.raises(InvalidArgument, match="only 0 bytes"):
        bench.storage.resumable.open_chunk(upload_id, Chunk(5, 5, 10))
    assert finish(bench, upload_id, b"whole").content.digest.size == 5


def test_another_total_than_announced_is_refused(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, 10)
    with pytest.raises(InvalidArgument, match="announced with 10"):
        bench.storage.resumable.open_chunk(upload_id, Chunk(0, 5, 5))


def test_one_request_at_a_time(bench: Any) -> None:
    uploads = bench.storage.resumable
    upload_id = uploads.start(INTENT, 5)
    writer = uploads.open_chunk(upload_id, Chunk(0, 5, 5))
    for meanwhile in (
        lambda: uploads.open_chunk(upload_id, Chunk(0, 5, 5)),
        lambda: uploads.conclude(upload_id, 5, NO_CHECKSUMS),
        lambda: uploads.cancel(upload_id),
    ):
        with pytest.raises(UploadBusy):
            meanwhile()
    writer.write(b"12345")
    writer.close()
    uploads.conclude(upload_id, 5, NO_CHECKSUMS)
    assert bench.read("object") == b"12345"


def test_an_upload_that_is_finished_stays_as_it_is(bench: Any) -> None:
    uploads = bench.storage.resumable
    upload_id = uploads.start(INTENT, None)
    stored = finish(bench, upload_id, b"content")
    with pytest.raises(InvalidArgument, match="complete"):
        uploads.open_chunk(upload_id, Chunk(7, 3, 10))
    assert uploads.conclude(upload_id, 7, NO_CHECKSUMS).finished == stored
    assert uploads.progress(upload_id).finished == stored
    uploads.cancel(upload_id)
    assert bench.read("object") == b"content"
    with pytest.raises(UploadNotFound):
        uploads.progress(upload_id)


def test_a_finished_upload_whose_object_is_gone(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    finish(bench, upload_id, b"content")
    bench.put("object", b"newer")
    with pytest.raises(ObjectNotFound):
        bench.storage.resumable.progress(upload_id)


@pytest.mark.parametrize("announce", [True, False])
def test_another_content_than_announced_ends_the_upload(bench: Any, announce: bool) -> None:
    wrong = Checksums(crc32c=bytes(4))
    intent = Intent("bucket", "object", checksums=wrong if announce else NO_CHECKSUMS)
    upload_id = bench.storage.resumable.start(intent, None)
    send(bench, upload_id, Chunk(0, 3, 3), b"abc")
    with pytest.raises(ChecksumMismatch):
        bench.storage.resumable.conclude(upload_id, 3, NO_CHECKSUMS if announce else wrong)
    with pytest.raises(UploadNotFound):
        bench.storage.resumable.progress(upload_id)
    assert bench.blobs() == []


def test_conditions_hold_at_the_start_and_at_the_end(bench: Any) -> None:
    absent = Intent("bucket", "object", preconditions=Preconditions(generation_match=0))
    upload_id = bench.storage.resumable.start(absent, None)
    bench.put("object", b"meanwhile")
    with pytest.raises(PreconditionFailed):
        finish(bench, upload_id, b"late")
    with pytest.raises(PreconditionFailed):
        bench.storage.resumable.start(absent, None)
    assert bench.blobs() == [b"meanwhile"]


def cancel(bench: Any, upload_id: str) -> None:
    bench.storage.resumable.cancel(upload_id)


def expire(bench: Any, _upload_id: str) -> None:
    bench.advance(LIFETIME + timedelta(seconds=1))
    bench.storage.resumable.expire()


def delete_bucket(bench: Any, _upload_id: str) -> None:
    bench.storage.buckets.delete("bucket", UNCONDITIONAL)


@pytest.mark.parametrize("end", [cancel, expire, delete_bucket])
def test_an_upload_that_ends_early_leaves_nothing(
    bench: Any, end: Callable[[Any, str], None]
) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    send(bench, upload_id, Chunk(0, CHUNK_MULTIPLE, None), bytes(CHUNK_MULTIPLE))
    end(bench, upload_id)
    assert bench.blobs() == []
    with pytest.raises(UploadNotFound):
        bench.storage.resumable.progress(upload_id)


def test_an_upload_that_is_being_written_does_not_expire(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    writer = bench.storage.resumable.open_chunk(upload_id, Chunk(0, 3, 3))
    expire(bench, upload_id)
    writer.write(b"abc")
    writer.close()
    assert bench.storage.resumable.conclude(upload_id, 3, NO_CHECKSUMS).finished


def test_the_object_of_an_expired_upload_stays(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    finish(bench, upload_id, b"content")
    expire(bench, upload_id)
    assert bench.read("object") == b"content"


def test_an_upload_that_cannot_succeed_is_refused_at_once(bench: Any) -> None:
    with pytest.raises(BucketNotFound):
        bench.storage.resumable.start(Intent("missing", "object"), None)
    with pytest.raises(InvalidArgument):
        bench.storage.resumable.start(Intent("bucket", ""), None)
    assert bench.blobs() == []


def test_a_version_is_found_by_its_generation(bench: Any) -> None:
    upload_id = bench.storage.resumable.start(INTENT, None)
    stored = finish(bench, upload_id, b"content")
    assert bench.storage.objects.get(Source("bucket", "object", stored.generation)) == stored
