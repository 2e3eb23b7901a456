"""Pages of list calls: `maxResults`, `pageToken`, `nextPageToken`."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
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


def page_behind(
    items: Sequence[Item], size: int | None, token: str | None, place: Callable[[Item], str]
) -> Page[Item]:
    """Cut one page out of `items`, in the order of their places, each of which is another.

    Its token is the place of its last item, so that no item is skipped when others come or go
    meanwhile. Raises InvalidRequest for a token that is none.
    """
    behind = _place(token)
    left = [item for item in sorted(items, key=place) if place(item) > behind]
    page = left[: DEFAULT_PAGE_SIZE if size is None else max(size, 0)]
    has_next = 0 < len(page) < len(left)
    return Page(page, _token(place(page[-1])) if has_next else None)


def _token(place: str) -> str:
    return urlsafe_b64encode(place.encode()).decode()


def _place(token: str | None) -> str:
    try:
        return urlsafe_b64decode(token or "").decode()
    except ValueError as error:
        raise InvalidRequest(f"Invalid page token: {token!r}") from error


def _start(token: str | None) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdigit()):
        raise InvalidRequest(f"Invalid page token: {token!r}")
    return int(token)
