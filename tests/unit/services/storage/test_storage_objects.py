"""Objects, buckets and what may be done to them when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage.errors import (
    BucketAlreadyExists,
    BucketNotEmpty,
    BucketNotFound,
    ChecksumMismatch,
    InvalidArgument,
    NegativePreconditionFailed,
    ObjectNotFound,
    OutOfSpace,
    PreconditionFailed,
    Unsupported,
)
from tf_dataflow_serving.services.storage.objects import Source
from tf_dataflow_serving.services.storage.preconditions import UNCONDITIONAL, Preconditions
from tf_dataflow_serving.services.storage.resources import NO_CHECKSUMS, Checksums
from tf_dataflow_serving.services.storage.uploads import LIFETIME, Intent, Part

OBJECT = Source("bucket", "object")
names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=50
).filter(lambda name: name not in {".", ".."})


@settings(deadline=None, max_examples=50)
@given(contents=st.dictionaries(names, st.binary(max_size=10), max_size=5))
def test_names_never_meet(new_bench: Any, contents: dict[str, bytes]) -> None:
    with new_bench() as bench:
        for name, content in contents.items():
            bench.put(name, content)
        assert {name: bench.read(name) for name in contents} == contents
        for name in contents:
            bench.storage.objects.delete(Source("bucket", name))
        assert bench.blobs() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a\rb", "a\nb", "é" * 513, ".well-known/acme-challenge/x"]
)
def test_names_no_object_has(bench: Any, name: str) -> None:
    with pytest.raises(InvalidArgument):
        bench.put(name, b"content")
    assert bench.blobs() == []


@pytest.mark.parametrize("field", ["generation", "metageneration", "etag"])
def test_each_condition_decides(bench: Any, field: str) -> None:
    item = bench.put("object", b"content")
    actual = getattr(item, field)
    other = f"{actual}x" if isinstance(actual, str) else actual + 1
    objects = bench.storage.objects
    assert objects.get(replace(OBJECT, preconditions=Preconditions(**{f"{field}_match": actual})))
    assert objects.get(
        replace(OBJECT, preconditions=Preconditions(**{f"{field}_not_match": other}))
    )
    with pytest.raises(PreconditionFailed):
        objects.get(replace(OBJECT, preconditions=Preconditions(**{f"{field}_match": other})))
    with pytest.raises(NegativePreconditionFailed):
        objects.get(replace(OBJECT, preconditions=Preconditions(**{f"{field}_not_match": actual})))


@given(
    present=st.booleans(),
    conditions=st.builds(
        Preconditions,
        generation_match=st.one_of(st.none(), st.integers(0, 2)),
        generation_not_match=st.one_of(st.none(), st.integers(0, 2)),
        metageneration_match=st.one_of(st.none(), st.integers(1, 2)),
        metageneration_not_match=st.one_of(st.none(), st.integers(1, 2)),
    ),
)
def test_all_conditions_must_hold(present: bool, conditions: Preconditions) -> None:
    class Current:
        generation, metageneration, etag = 1, 1, "tag"

    generation, metageneration = (1, 1) if present else (0, None)
    holds = (
        conditions.generation_match in {None, generation}
        and conditions.metageneration_match in {None, metageneration}
        and conditions.generation_not_match != generation
        and (conditions.metageneration_not_match or -1) != metageneration
    )
    try:
        conditions.check(Current() if present else None)
    except PreconditionFailed:
        assert not holds
    else:
        assert holds


def test_a_refused_commit_leaves_nothing(bench: Any) -> None:
    bench.put("object", b"first")
    absent = Preconditions(generation_match=0)
    with pytest.raises(PreconditionFailed):
        bench.put("object", b"second", preconditions=absent)
    with pytest.raises(ChecksumMismatch):
        bench.put("object", b"second", checksums=Checksums(md5=bytes(16)))
    with pytest.raises(Unsupported):
        bench.put("object", b"second", attributes={"temporaryHold": True})
    assert bench.blobs() == [b"first"]
    assert bench.read("object") == b"first"


def test_a_replaced_content_is_removed_once_it_is_read(bench: Any) -> None:
    bench.put("object", b"old")
    _, file = bench.storage.objects.open(OBJECT)
    with file:
        bench.put("object", b"new")
        assert file.read() == b"old"
    assert bench.blobs() == [b"new"]


def test_generations_rise_while_the_clock_stands_still_or_goes_back(bench: Any) -> None:
    generations = [bench.put("object", b"x").generation for _ in range(3)]
    bench.advance(timedelta(days=-1))
    generations.append(bench.put("object", b"x").generation)
    assert generations == sorted(set(generations))


def test_copies_share_a_content_until_the_last_is_gone(bench: Any) -> None:
    bench.put("object", b"content", attributes={"contentType": "a/b", "metadata": {"k": "v"}})
    objects = bench.storage.objects
    copied = objects.copy(OBJECT, Intent("bucket", "copy", {"contentType": "c/d"}))
    assert copied.attributes == {"contentType": "c/d", "metadata": {"k": "v"}}
    assert bench.blobs() == [b"content"]
    objects.delete(OBJECT)
    assert bench.read("copy") == b"content"
    objects.delete(Source("bucket", "copy"))
    assert bench.blobs() == []


def test_a_copy_onto_itself_is_a_new_version(bench: Any) -> None:
    before = bench.put("object", b"content")
    after = bench.storage.objects.copy(OBJECT, Intent("bucket", "object"))
    assert after.generation > before.generation
    assert bench.read("object") == b"content"


def test_a_copy_onto_another_object_removes_its_content(bench: Any) -> None:
    bench.put("object", b"content")
    bench.put("other", b"former")
    bench.storage.objects.copy(OBJECT, Intent("bucket", "other"))
    assert bench.blobs() == [b"content"]


def test_a_move(bench: Any) -> None:
    bench.put("object", b"content")
    bench.put("other", b"former")
    bench.storage.objects.move(OBJECT, Intent("bucket", "other"))
    assert bench.read("other") == b"content"
    assert bench.blobs() == [b"content"]
    with pytest.raises(ObjectNotFound):
        bench.storage.objects.get(OBJECT)
    with pytest.raises(InvalidArgument):
        bench.storage.objects.move(Source("bucket", "other"), Intent("bucket", "other"))


@settings(deadline=None, max_examples=30)
@given(contents=st.lists(st.binary(max_size=20), min_size=1, max_size=32))
def test_compose_is_concatenation(new_bench: Any, contents: list[bytes]) -> None:
    with new_bench() as bench:
        for number, content in enumerate(contents):
            bench.put(str(number), content)
        sources = [Source("bucket", str(number)) for number in range(len(contents))]
        whole = bench.storage.objects.compose(sources, Intent("bucket", "whole"))
        expected = bench.put("expected", b"".join(contents)).content.digest
        assert bench.read("whole") == b"".join(contents)
        assert whole.content.digest == replace(expected, md5=None)
        assert whole.content.components == len(contents)


def test_metadata_changes_and_the_content_does_not(bench: Any) -> None:
    before = bench.put("object", b"content", attributes={"metadata": {"a": "1", "b": "2"}})
    bench.advance(timedelta(seconds=1))
    patched = bench.storage.objects.patch(OBJECT, {"metadata": {"a": None, "c": "3"}})
    assert patched.attributes == {"metadata": {"b": "2", "c": "3"}}
    assert (patched.generation, patched.metageneration) == (before.generation, 2)
    assert (patched.created, patched.updated) == (before.created, bench.now)
    replaced = bench.storage.objects.replace(OBJECT, {"contentType": "a/b", "metadata": None})
    assert replaced.attributes == {"contentType": "a/b"}
    assert bench.read("object") == b"content"


def test_what_is_missing(bench: Any) -> None:
    item = bench.put("object", b"content")
    objects = bench.storage.objects
    with pytest.raises(ObjectNotFound):
        objects.get(Source("bucket", "missing"))
    with pytest.raises(ObjectNotFound):
        objects.delete(replace(OBJECT, generation=item.generation - 1))
    with pytest.raises(BucketNotFound):
        objects.get(Source("missing", "object"))
    assert bench.read("object") == b"content"


def test_a_full_disk_is_told_apart(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = bench.storage.objects.new_content()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OutOfSpace):
            writer.write(bytes(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    bench.storage.objects.discard(writer)
    assert bench.blobs() == []


def test_a_bucket_is_deleted_empty_only(bench: Any) -> None:
    bench.put("object", b"content")
    with pytest.raises(BucketNotEmpty):
        bench.storage.buckets.delete("bucket", UNCONDITIONAL)
    bench.storage.objects.delete(OBJECT)
    bench.storage.buckets.delete("bucket", UNCONDITIONAL)
    with pytest.raises(BucketNotFound):
        bench.storage.buckets.get("bucket")


def test_a_bucket_exists_once(bench: Any) -> None:
    with pytest.raises(BucketAlreadyExists):
        bench.storage.buckets.create("bucket", "another-project", {})


def test_bucket_settings(bench: Any) -> None:
    buckets = bench.storage.buckets
    patched = buckets.patch("bucket", {"labels": {"a": "1"}}, UNCONDITIONAL)
    assert (patched.settings, patched.metageneration) == ({"labels": {"a": "1"}}, 2)
    patched = buckets.patch("bucket", {"labels": {"a": None}}, UNCONDITIONAL)
    assert patched.settings == {"labels": {}}
    assert buckets.replace("bucket", {}, UNCONDITIONAL).settings == {}
    with pytest.raises(InvalidArgument, match="location"):
        buckets.patch("bucket", {"location": "EU"}, UNCONDITIONAL)
    with pytest.raises(Unsupported, match="versioning"):
        buckets.patch("bucket", {"versioning": {"enabled": True}}, UNCONDITIONAL)


def add_part(bench: Any, upload_id: str, number: int, content: bytes) -> str:
    writer = bench.storage.multipart.new_part(upload_id, number)
    writer.write(content)
    part = Part(number, writer.close())
    bench.storage.multipart.add_part(upload_id, part, NO_CHECKSUMS)
    return part.etag


@settings(deadline=None, max_examples=30)
@given(
    contents=st.dictionaries(st.integers(1, 10_000), st.binary(max_size=9), min_size=1, max_size=9),
    order=st.randoms(use_true_random=False),
)
def test_parts_in_any_order_and_twice(
    new_bench: Any, contents: dict[int, bytes], order: Any
) -> None:
    with new_bench() as bench:
        upload_id = bench.storage.multipart.start(Intent("bucket", "object"))
        numbers = [*contents, *contents]
        order.shuffle(numbers)
        etags = {number: add_part(bench, upload_id, number, contents[number]) for number in numbers}
        bench.storage.multipart.complete(upload_id, sorted(etags.items()))
        whole = b"".join(content for _, content in sorted(contents.items()))
        assert bench.read("object") == whole
        assert bench.blobs() == [whole]


def test_parts_that_are_wrong(bench: Any) -> None:
    uploads = bench.storage.multipart
    upload_id = uploads.start(Intent("bucket", "object"))
    one, two = (add_part(bench, upload_id, number, b"x" * number) for number in (1, 2))
    for wanted in ([], [(2, two), (1, one)], [(1, one), (1, one)], [(1, two)], [(3, one)]):
        with pytest.raises(InvalidArgument):
            uploads.complete(upload_id, wanted)
    with pytest.raises(ChecksumMismatch):
        part = uploads.new_part(upload_id, 1)
        uploads.add_part(upload_id, Part(1, part.close()), Checksums(md5=bytes(16)))
    assert bench.blobs() == [b"x", b"xx"]
    uploads.complete(upload_id, [(2, two)])
    assert bench.blobs() == [b"xx"]


def test_parts_expire(bench: Any) -> None:
    upload_id = bench.storage.multipart.start(Intent("bucket", "object"))
    add_part(bench, upload_id, 1, b"x")
    bench.advance(LIFETIME + timedelta(seconds=1))
    bench.storage.multipart.start(Intent("bucket", "object"))
    assert bench.blobs() == []
