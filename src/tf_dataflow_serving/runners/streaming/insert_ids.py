"""BigQuery insert ids that stay the same when a turn is tried again."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from apache_beam.transforms.core import DoFn

_turn: ContextVar[str] = ContextVar("turn")


@contextmanager
def of_turn(name: str) -> Iterator[None]:
    """Derive the insert ids of this thread from the name of a turn."""
    token = _turn.set(name)
    try:
        yield
    finally:
        _turn.reset(token)


class AddInsertIds(DoFn):  # type: ignore[misc] # Beam has no types
    """Stands in for Beam's InsertIdPrefixFn, whose ids are random for every bundle.

    A row that knows its own id, as `insert_id`, keeps it however messages are bundled.
    """

    def __init__(self, step: int) -> None:
        """`step` tells it from the other steps of a pipeline that write to the same table."""
        super().__init__()
        self._step = step
        self._numbers = itertools.count()

    def start_bundle(self) -> None:
        """Count the rows of the turn."""
        self._numbers = itertools.count()

    def process(self, element: tuple[Any, Any]) -> Iterator[tuple[Any, tuple[Any, str]]]:
        """Yield the destination with the row and its id."""
        destination, row = element
        number = next(self._numbers)
        own = getattr(row, "insert_id", None)
        yield destination, (row, own or f"{_turn.get()}-{self._step}-{number}-{_digest(row)}")


def _digest(row: Any) -> str:
    """Tell rows apart that come at the same place when a turn is tried again with other state."""
    text = json.dumps(row, default=str).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()
