"""Changes that happen together or not at all, in a database and in what mirrors it in memory."""

import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import duckdb

Result = TypeVar("Result")


class Connection(Protocol):
    """What a transaction needs of a database connection."""

    def execute(self, statement: str) -> Any:
        """Run a statement."""
        ...


class Transactions:
    """One transaction at a time in the whole process, so that none can conflict with another.

    `connection` returns the calling thread's connection. A body must not give way to other tasks
    of an event loop: they would run in the same thread, and so in the same transaction.
    """

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._depth = 0
        self._mirrors: list[dict[Any, Any]] = []

    def mirror(self, state: dict[Any, Any]) -> None:
        """Put the entries of a dict back whenever a transaction is rolled back."""
        self._mirrors.append(state)

    @property
    def is_open_here(self) -> bool:
        """Whether the calling thread is inside a transaction."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._depth > 0
        finally:
            self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that happens inside, or nothing if it raises; an inner one joins the outer."""
        with self._lock:
            if self._depth:
                yield
                return
            self._depth += 1
            try:
                with self._outermost():
                    yield
            finally:
                self._depth -= 1

    @contextmanager
    def _outermost(self) -> Iterator[None]:
        connection = self._connection()
        before = [dict(state) for state in self._mirrors]
        connection.execute("BEGIN TRANSACTION")
        try:
            yield
            # COMMIT undoes, without a word, what an error that was caught inside has ended.
            connection.execute("SELECT 1")
            connection.execute("COMMIT")
        except BaseException:
            self._undo(connection, before)
            raise

    def _undo(self, connection: Connection, before: list[dict[Any, Any]]) -> None:
        for state, entries in zip(self._mirrors, before, strict=True):
            # Other threads read meanwhile: what stays must not be gone for a moment.
            for key in [key for key in state if key not in entries]:
                del state[key]
            state.update(entries)
        # A failed COMMIT has ended the transaction already.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that gives way to no other; raises RuntimeError if it tries to."""
    try:
        work.send(None)
    except StopIteration as finished:
        result: Result = finished.value
        return result
    work.close()
    raise RuntimeError("a transaction gave way to other tasks")
