"""Listing, against a reference that looks at all names."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage import listing
from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.listing import ListQuery, list_page, successor
from tf_dataflow_serving.services.storage.resources import Bucket, Content, Digest, StoredObject

MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
names = st.text("ab/é\U0010ffff\ud7ff\ue000\0", min_size=1, max_size=6)
any_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
queries = st.builds(
    ListQuery,
    prefix=st.one_of(st.just(""), names),
    delimiter=st.sampled_from(["", "/", "a", "//"]),
    start=st.one_of(st.just(""), names),
    end=st.one_of(st.none(), names),
    include_trailing_delimiter=st.booleans(),
    limit=st.integers(1, 4),
)


@dataclass(frozen=True)
class Listed:
    items: Sequence[str]
    prefixes: Sequence[str]


def reference(stored: set[str], query: ListQuery) -> Listed:
    """What the documentation of Objects: list says, name by name."""
    items, prefixes = [], set()
    for name in sorted(stored):
        if not name.startswith(query.prefix) or name < query.start:
            continue
        if query.end is not None and name >= query.end:
            continue
        rest = name[len(query.prefix) :]
        if not query.delimiter or query.delimiter not in rest:
            items.append(name)
            continue
        prefix = query.prefix + rest.partition(query.delimiter)[0] + query.delimiter
        prefixes.add(prefix)
        if query.include_trailing_delimiter and name == prefix:
            items.append(name)
    return Listed(items, sorted(prefixes))


@contextmanager
def catalog_of(stored: set[str]) -> Iterator[Catalog]:
    with tempfile.TemporaryDirectory() as directory:
        catalog = Catalog(Path(directory) / "catalog.sqlite3")
        try:
            catalog.put_bucket(Bucket("bucket", "project", 1, 1, MOMENT, MOMENT))
            content = Content("0" * 32, Digest(0, b"", b""))
            for name in stored:
                catalog.put_object(StoredObject("bucket", name, 1, 1, content, MOMENT, MOMENT))
            yield catalog
        finally:
            catalog.close()


def all_pages(catalog: Catalog, query: ListQuery) -> Listed:
    items: list[str] = []
    prefixes: list[str] = []
    position: str | None = ""
    while position is not None:
        page = list_page(catalog, "bucket", replace(query, position=position))
        shown = {item.name for item in page.items} | set(page.prefixes)
        assert 0 < len(shown) <= query.limit or page.next_position is None
        items += [item.name for item in page.items]
        prefixes += page.prefixes
        position = page.next_position
    return Listed(items, prefixes)


@settings(deadline=None)
@given(st.sets(names, max_size=12), queries)
def test_pages_together_are_what_is_there(stored: set[str], query: ListQuery) -> None:
    with catalog_of(stored) as catalog:
        assert all_pages(catalog, query) == reference(stored, query)


@settings(deadline=None)
@given(st.sets(any_names, max_size=12))
def test_names_are_ordered_by_their_bytes(stored: set[str]) -> None:
    with catalog_of(stored) as catalog:
        found = all_pages(catalog, ListQuery(limit=5))
    assert found.items == sorted(stored, key=str.encode)


@settings(deadline=None)
@given(st.sets(names, max_size=12), queries)
def test_short_fetches_change_nothing(stored: set[str], query: ListQuery) -> None:
    with pytest.MonkeyPatch.context() as patch, catalog_of(stored) as catalog:
        patch.setattr(listing, "MAX_PAGE", 2)
        assert all_pages(catalog, query) == reference(stored, query)


@given(any_names, any_names)
def test_the_successor_parts_those_with_the_prefix_from_the_rest(prefix: str, name: str) -> None:
    above = successor(prefix)
    for candidate in (name, prefix + name, prefix):
        inside = prefix <= candidate and (above is None or candidate < above)
        assert inside == candidate.startswith(prefix)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*.csv", ["a.csv", ".csv"], ["a/b.csv", "a.csv2"]),
        ("**.csv", ["a.csv", "a/b.csv"], ["a.txt"]),
        ("**/b", ["b", "a/b", "a/c/b"], ["ab"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a]x", ["bx"], ["ax"]),
        ("{a,b/c}*", ["a1", "b/c1"], ["c"]),
        (r"a\*b", ["a*b"], ["axb"]),
        ("a,b", ["a,b"], ["a"]),
        ("(a|b)+.$", ["(a|b)+.$"], ["a"]),
    ],
)
def test_globs(glob: str, matching: Sequence[str], others: Sequence[str]) -> None:
    with catalog_of({*matching, *others}) as catalog:
        assert all_pages(catalog, ListQuery(glob=glob)).items == sorted(matching)
