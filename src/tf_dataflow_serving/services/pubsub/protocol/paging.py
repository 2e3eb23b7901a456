"""Lists in pages."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

Item = TypeVar("Item")

MAX_PAGE_SIZE = 1_000


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Part of a list; `next_token` asks for the part after it and is empty at the end."""

    items: list[Item]
    next_token: str


def paginate(
    items: Iterable[Item], name_of: Callable[[Item], str], size: int, token: str
) -> Page[Item]:
    """Return the page after `token` of items that are sorted by name.

    A page goes on after a name, not after a count, so that it neither skips nor repeats an
    item when others come and go. Size 0 is the largest page; raises InvalidArgument below.
    """
    if size < 0:
        raise InvalidArgument(f"Invalid page size given ({size}).")
    wanted = min(size or MAX_PAGE_SIZE, MAX_PAGE_SIZE)
    found = list(islice((item for item in items if name_of(item) > token), wanted + 1))
    if len(found) <= wanted:
        return Page(found, "")
    return Page(found[:wanted], name_of(found[wanted - 1]))
