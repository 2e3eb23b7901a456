"""Lists objects page by page, folding names below a delimiter into prefixes.

Source: Cloud Storage JSON API, "Objects: list". Names are ordered by their UTF-8 bytes, which is
the order of their code points.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tf_dataflow_serving.services.storage.catalog import Catalog
from tf_dataflow_serving.services.storage.globs import glob_pattern
from tf_dataflow_serving.services.storage.resources import StoredObject

MAX_PAGE = 1000
_LAST_CHARACTER = "\U0010ffff"
_BEFORE_SURROGATES, _AFTER_SURROGATES = "\ud7ff", "\ue000"


@dataclass(frozen=True)
class ListQuery:
    """Which objects to list; `position` is where the page begins, a name or between names."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    end: str | None = None
    glob: str | None = None
    include_trailing_delimiter: bool = False
    position: str = ""
    limit: int = MAX_PAGE


@dataclass
class Page:
    """Objects and prefixes in order; `next_position` is None on the last page."""

    items: list[StoredObject] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_position: str | None = None


@dataclass(frozen=True)
class _Entry:
    """What one step through the names yields, and where the next step begins."""

    item: StoredObject | None
    prefix: str | None
    after: str | None


def list_page(catalog: Catalog, bucket: str, query: ListQuery) -> Page:
    """Return the page of at most `query.limit` objects and prefixes together."""
    page, count, position = Page(), 0, None
    for entry in _entries(catalog, bucket, query):
        if count == query.limit:
            page.next_position = position
            break
        if entry.item:
            page.items.append(entry.item)
        if entry.prefix is not None:
            page.prefixes.append(entry.prefix)
        count, position = count + 1, entry.after
    return page


def _entries(catalog: Catalog, bucket: str, query: ListQuery) -> Iterator[_Entry]:
    pattern = re.compile(glob_pattern(query.glob)) if query.glob else None
    position = max(query.position, query.start, query.prefix)
    upper = _lesser(successor(query.prefix), query.end)
    while True:
        batch = catalog.objects_between(bucket, position, upper, MAX_PAGE)
        for item in batch:
            if item.name < position or (pattern and not pattern.fullmatch(item.name)):
                continue
            entry = _fold(item, query)
            yield entry
            if entry.after is None:
                return
            position = entry.after
        if len(batch) < MAX_PAGE:
            return
        position = max(position, batch[-1].name + "\0")


def _fold(item: StoredObject, query: ListQuery) -> _Entry:
    prefix = common_prefix(item.name, query.prefix, query.delimiter)
    if prefix is None:
        return _Entry(item, None, item.name + "\0")
    shown = item if query.include_trailing_delimiter and item.name == prefix else None
    return _Entry(shown, prefix, successor(prefix))


def common_prefix(name: str, prefix: str, delimiter: str) -> str | None:
    """Return the name up to the first delimiter behind the prefix; None if there is none."""
    found = name.find(delimiter, len(prefix)) if delimiter else -1
    return name[: found + len(delimiter)] if found >= 0 else None


def successor(prefix: str) -> str | None:
    """Return the least string above all that start with `prefix`; None if there is none."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    last = stem[-1]
    following = _AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1)
    return stem[:-1] + following


def _lesser(one: str | None, other: str | None) -> str | None:
    return min((bound for bound in (one, other) if bound), default=None)
