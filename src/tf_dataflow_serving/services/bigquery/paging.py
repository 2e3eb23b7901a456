"""Pages of list calls: `maxResults`, `pageToken`, `nextPageToken`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest

Item = TypeVar("Item")

DEFAULT_PAGE_SIZE = 1000


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items of a list, and the token of the page that follows, if one does."""

    items: Sequence[Item]
    next_token: str | None


def page_of(items: Sequence[Item], size: int | None, token: str | None) -> Page[Item]:
    """Cut one page out of `items`; raises InvalidRequest for a token that none of them gave."""
    start = _start(token)
    end = start + (DEFAULT_PAGE_SIZE if size is None else max(size, 0))
    following = str(end) if start < end < len(items) else None
    return Page(items[start:end], following)


def _start(token: str | None) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdigit()):
        raise InvalidRequest(f"Invalid page token: {token!r}")
    return int(token)
