"""Transactions of a real database, and of what mirrors it in memory."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from tf_dataflow_serving.services.bigquery.embedded.transactions import Transactions, at_once


class Store:
    """A table and its copy in memory; every thread has a connection of its own."""

    def __init__(self, first: duckdb.DuckDBPyConnection) -> None:
        self._local = threading.local()
        self._first = first
        first.execute("CREATE TABLE numbers (number INTEGER)")
        self.copy: dict[int, None] = {}
        self.transactions = Transactions(self.connection)
        self.transactions.mirror(self.copy)

    def connection(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._first.cursor()
        cursor: duckdb.DuckDBPyConnection = self._local.cursor
        return cursor

    def add(self, number: int) -> None:
        self.copy[number] = None
        self.connection().execute("INSERT INTO numbers VALUES (?)", [number])

    def stored(self) -> list[int]:
        rows = self._first.execute("SELECT number FROM numbers ORDER BY number").fetchall()
        return [row[0] for row in rows]


@pytest.fixture
def store() -> Iterator[Store]:
    with duckdb.connect(":memory:") as connection:
        yield Store(connection)


def test_all_is_kept(store: Store) -> None:
    with store.transactions.transaction():
        store.add(1)
        with store.transactions.transaction():
            store.add(2)
        assert store.stored() == []
    assert store.stored() == list(store.copy) == [1, 2]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_nothing_is_kept_of_what_fails(store: Store, failure: type[BaseException]) -> None:
    store.add(1)
    with pytest.raises(failure), store.transactions.transaction():
        store.add(2)
        with store.transactions.transaction():
            store.add(3)
            raise failure
    assert store.stored() == list(store.copy) == [1]
    with store.transactions.transaction():
        store.add(4)
    assert store.stored() == list(store.copy) == [1, 4]


class NeverEmptied(dict[int, None]):
    """A dict that other threads read while it is put back."""

    def clear(self) -> None:
        raise AssertionError("an entry that stays is gone for a moment")


def test_what_stays_is_there_while_the_rest_is_put_back(store: Store) -> None:
    state = NeverEmptied({1: None, 2: None})
    store.transactions.mirror(state)
    with pytest.raises(ValueError, match="no"), store.transactions.transaction():
        del state[2]
        state[3] = None
        raise ValueError("no")
    assert state == {1: None, 2: None}


def test_an_error_of_the_database_ends_the_transaction(store: Store) -> None:
    with pytest.raises(duckdb.Error), store.transactions.transaction():
        store.add(1)
        with pytest.raises(duckdb.ConversionException):
            store.connection().execute("SELECT CAST(t AS INTEGER) FROM (VALUES ('x')) v(t)")
    assert store.stored() == list(store.copy) == []
    assert not store.transactions.is_open_here


def test_threads_take_turns(store: Store) -> None:
    def increment() -> None:
        with store.transactions.transaction():
            rows = store.connection().execute("SELECT count(*) FROM numbers").fetchone()
            assert rows is not None
            store.add(rows[0])

    with ThreadPoolExecutor(8) as threads:
        for one in [threads.submit(increment) for _ in range(40)]:
            one.result(timeout=60)
    assert store.stored() == sorted(store.copy) == list(range(40))


def test_only_the_thread_inside_finds_it_open(store: Store) -> None:
    with ThreadPoolExecutor(1) as threads, store.transactions.transaction():
        assert store.transactions.is_open_here
        assert not threads.submit(lambda: store.transactions.is_open_here).result(timeout=60)
    assert not store.transactions.is_open_here


def test_a_coroutine_that_does_not_wait_runs_at_once() -> None:
    async def inner() -> int:
        return 3

    async def outer() -> int:
        return await inner() + 1

    assert at_once(outer()) == 4


def test_a_coroutine_that_waits_is_refused() -> None:
    class Pause:
        def __await__(self) -> Iterator[None]:
            yield

    async def work() -> None:
        await Pause()

    with pytest.raises(RuntimeError, match="gave way"):
        at_once(work())
