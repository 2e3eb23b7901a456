"""Listing through google-cloud-storage."""

from collections.abc import Sequence

import pytest
from google.cloud import storage

NAMES = [
    "a.txt",
    "dir",
    "dir/",
    "dir/a",
    "dir/b",
    "dir/deep/a",
    "dir/deep/b",
    "dir0",
    "other//x",
    "z",
    "ä",
]


@pytest.fixture
def filled(bucket: storage.Bucket) -> storage.Bucket:
    for name in reversed(NAMES):
        bucket.blob(name).upload_from_string(name)
    return bucket


def names(listing: storage.blob.Blob) -> list[str]:
    return [blob.name for blob in listing]


def test_everything_in_order(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs()) == sorted(NAMES)


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
def test_pages(filled: storage.Bucket, page_size: int) -> None:
    pages = [names(page) for page in filled.list_blobs(page_size=page_size).pages]
    assert [name for page in pages for name in page] == sorted(NAMES)
    assert all(len(page) == page_size for page in pages[:-1])


def test_no_more_than_asked_for(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(max_results=4)) == sorted(NAMES)[:4]


@pytest.mark.parametrize("page_size", [1, 2, None])
@pytest.mark.parametrize(
    ("prefix", "items", "prefixes"),
    [
        ("", ["a.txt", "dir", "dir0", "z", "ä"], ["dir/", "other/"]),
        ("dir/", ["dir/", "dir/a", "dir/b"], ["dir/deep/"]),
        ("dir", ["dir", "dir0"], ["dir/"]),
        ("other/", [], ["other//"]),
        ("none", [], []),
    ],
)
def test_folders(
    filled: storage.Bucket,
    prefix: str,
    items: Sequence[str],
    prefixes: Sequence[str],
    page_size: int | None,
) -> None:
    listing = filled.list_blobs(prefix=prefix, delimiter="/", page_size=page_size)
    assert names(listing) == items
    assert sorted(listing.prefixes) == prefixes


def test_offsets(filled: storage.Bucket) -> None:
    found = filled.list_blobs(start_offset="dir/", end_offset="dir/deep/b")
    assert names(found) == ["dir/", "dir/a", "dir/b", "dir/deep/a"]


def test_trailing_delimiter(filled: storage.Bucket) -> None:
    listing = filled.list_blobs(delimiter="/", prefix="d", include_trailing_delimiter=True)
    assert names(listing) == ["dir", "dir/", "dir0"]
    assert listing.prefixes == {"dir/"}


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("dir/*", ["dir/", "dir/a", "dir/b"]),
        ("**/a", ["dir/a", "dir/deep/a"]),
        ("{a,z}*", ["a.txt", "z"]),
        ("dir?", ["dir0"]),
    ],
)
def test_globs(filled: storage.Bucket, glob: str, expected: Sequence[str]) -> None:
    assert names(filled.list_blobs(match_glob=glob)) == expected


def test_buckets_of_one_project(client: storage.Client, bucket: storage.Bucket) -> None:
    found = client.list_buckets(prefix=bucket.name)
    assert [one.name for one in found] == [bucket.name]
    assert not list(client.list_buckets(prefix=bucket.name, project="another-project"))


def test_pages_of_buckets(client: storage.Client, bucket: storage.Bucket) -> None:
    created = [client.create_bucket(f"{bucket.name}-{number}").name for number in range(5)]
    found = client.list_buckets(prefix=f"{bucket.name}-", page_size=2)
    assert [one.name for one in found] == created


def test_an_empty_bucket(bucket: storage.Bucket) -> None:
    assert names(bucket.list_blobs()) == []
