"""A store in an SQLite file of a data directory."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tf_dataflow_serving.services.pubsub.errors import StorageFailed
from tf_dataflow_serving.services.pubsub.message import Message
from tf_dataflow_serving.services.pubsub.store import encoding
from tf_dataflow_serving.services.pubsub.store.interface import (
    AckState,
    SnapshotRecord,
    Store,
    StoredState,
    SubscriptionRecord,
    TopicRecord,
)
from tf_dataflow_serving.services.pubsub.store.schema import DataDirectoryRefused, open_database

ROWS_PER_SWEEP = 500
"""Rows that one call removes at most: the emulator does nothing else meanwhile."""
SWEPT_PER_ADDED = 2
"""Rows that a call removes for each one it adds, at most: so the file does not grow for good."""

_LAST = 2**63 - 1
"""The highest number that SQLite takes."""

_SWEEP = (
    "DELETE FROM topics WHERE deleted AND serial NOT IN "
    "(SELECT topic FROM subscriptions UNION SELECT topic FROM snapshots)",
    "DELETE FROM messages WHERE topic IN "
    "(SELECT topic FROM messages EXCEPT SELECT serial FROM topics)",
    "DELETE FROM messages WHERE sequence IN (SELECT sequence FROM topics "
    "JOIN messages ON messages.topic = topics.serial WHERE sequence < first)",
    "DELETE FROM acknowledged WHERE NOT EXISTS (SELECT * FROM "
    "(SELECT serial, floor FROM subscriptions UNION ALL SELECT serial, floor FROM snapshots) "
    "WHERE serial = owner AND floor < sequence)",
)


class SqliteStore(Store):
    """The store of an emulator with a data directory; for one thread.

    Opening one raises DataDirectoryRefused if the directory is another process's, or holds
    something else.

    Messages before a topic's first one, and acknowledgements up to a floor, are out of sight
    as soon as that is set. Their rows are removed little by little: by the calls that set it,
    by those that add others, and all that are left when the directory is opened next.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._database = open_database(directory)

    def close(self) -> None:
        """Let go of the directory."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes made in this context, or none; one within another is part of it."""
        try:
            if self._database.in_transaction:
                yield
            else:
                with self._outermost():
                    yield
        except sqlite3.Error as error:
            raise StorageFailed(f"The data directory cannot be written: {error}.") from error

    def load(self) -> StoredState:
        """Return what was kept before; raises DataDirectoryRefused if it cannot be read."""
        with self._reading(), self._outermost():
            self._sweep_all()
            return self._state()

    def latest_time(self) -> int:
        """Return the time of the latest publication that is kept, 0 if there is none."""
        with self._reading():
            times = self._rows("SELECT publish_time FROM messages ORDER BY sequence DESC LIMIT 1")
        return int(times[0][0]) if times else 0

    def reserve(self, serial: int) -> None:
        """Allow for numbers up to this one, which is higher than any before."""
        with self.transaction():
            self._database.execute("DELETE FROM reserved")
            self._database.execute("INSERT INTO reserved VALUES (?)", (serial,))

    def save_topic(self, record: TopicRecord) -> None:
        """Add a topic or replace its record."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO topics (serial, name, settings, deleted, history_from) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (serial) DO UPDATE SET "
                "name = excluded.name, settings = excluded.settings, "
                "deleted = excluded.deleted, history_from = excluded.history_from",
                encoding.topic_row(record),
            )

    def append(self, topic: int, messages: Sequence[Message]) -> None:
        """Add messages to a topic."""
        rows = [encoding.message_row(topic, message) for message in messages]
        with self.transaction():
            self._database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._sweep_messages(topic, SWEPT_PER_ADDED * len(rows))

    def delete_messages(self, topic: int, before: int) -> None:
        """Forget the messages of a topic with a lower number than `before`."""
        with self.transaction():
            self._database.execute(
                "UPDATE topics SET first = max(first, ?) WHERE serial = ?", (before, topic)
            )
            self._sweep_messages(topic, ROWS_PER_SWEEP)

    def add_subscription(self, record: SubscriptionRecord, floor: int) -> None:
        """Add a subscription."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*encoding.subscription_row(record), floor),
            )

    def save_subscription(self, record: SubscriptionRecord) -> None:
        """Replace the record of a subscription."""
        serial, *values = encoding.subscription_row(record)
        with self.transaction():
            self._database.execute(
                "UPDATE subscriptions SET name = ?, topic = ?, settings = ?, detached = ?, "
                "history_from = ?, first_lease = ? WHERE serial = ?",
                (*values, serial),
            )

    def delete_subscription(self, serial: int) -> None:
        """Forget a subscription and its state."""
        with self.transaction():
            self._database.execute("DELETE FROM subscriptions WHERE serial = ?", (serial,))
            self._sweep_acknowledged(serial, ROWS_PER_SWEEP)

    def acknowledge(self, subscription: int, sequences: Sequence[int]) -> None:
        """Settle messages above the subscription's floor."""
        rows = [(subscription, sequence) for sequence in sequences]
        with self.transaction():
            self._database.executemany("INSERT OR IGNORE INTO acknowledged VALUES (?, ?)", rows)
            self._sweep_acknowledged(subscription, SWEPT_PER_ADDED * len(rows))

    def raise_floor(self, subscription: int, floor: int) -> None:
        """Settle all messages up to `floor`, which is not below the present one."""
        with self.transaction():
            self._set_floor(subscription, floor)
            self._sweep_acknowledged(subscription, ROWS_PER_SWEEP)

    def seek(self, subscription: int, floor: int, replay_from: int) -> None:
        """Set the floor, to a lower number too, and owe all messages from `replay_from` on."""
        with self.transaction():
            # Rows that the present floor hides must not come to light under a lower one.
            self._database.execute(
                "DELETE FROM acknowledged WHERE owner = ? AND (sequence >= ? OR sequence <= "
                "(SELECT floor FROM subscriptions WHERE serial = owner))",
                (subscription, replay_from),
            )
            self._set_floor(subscription, floor)

    def seek_to_snapshot(self, subscription: int, snapshot: int) -> None:
        """Replace the state of a subscription by a snapshot's."""
        with self.transaction():
            self._database.execute("DELETE FROM acknowledged WHERE owner = ?", (subscription,))
            self._copy_acknowledged(snapshot, subscription, 0)
            self._database.execute(
                "UPDATE subscriptions SET floor = (SELECT floor FROM snapshots WHERE serial = ?) "
                "WHERE serial = ?",
                (snapshot, subscription),
            )

    def add_snapshot(self, record: SnapshotRecord, subscription: int) -> None:
        """Add a snapshot with the present state of a subscription."""
        with self.transaction():
            floor = self._floor(subscription)
            self._database.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)",
                (*encoding.snapshot_row(record), floor),
            )
            self._copy_acknowledged(subscription, record.serial, floor)

    def save_snapshot(self, record: SnapshotRecord) -> None:
        """Replace the record of a snapshot."""
        serial, *values = encoding.snapshot_row(record)
        with self.transaction():
            self._database.execute(
                "UPDATE snapshots SET name = ?, topic = ?, expire_time = ?, labels = ? "
                "WHERE serial = ?",
                (*values, serial),
            )

    def delete_snapshot(self, serial: int) -> None:
        """Forget a snapshot and its state."""
        with self.transaction():
            self._database.execute("DELETE FROM snapshots WHERE serial = ?", (serial,))
            self._sweep_acknowledged(serial, ROWS_PER_SWEEP)

    @contextmanager
    def _outermost(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has rolled back by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise DataDirectoryRefused(
                f"The data directory {self._directory} cannot be read: {error}."
            ) from error

    def _floor(self, subscription: int) -> int:
        row = self._database.execute(
            "SELECT floor FROM subscriptions WHERE serial = ?", (subscription,)
        ).fetchone()
        return int(row[0])

    def _set_floor(self, subscription: int, floor: int) -> None:
        self._database.execute(
            "UPDATE subscriptions SET floor = ? WHERE serial = ?", (floor, subscription)
        )

    def _copy_acknowledged(self, source: int, target: int, floor: int) -> None:
        self._database.execute(
            "INSERT INTO acknowledged SELECT ?, sequence FROM acknowledged "
            "WHERE owner = ? AND sequence > ?",
            (target, source, floor),
        )

    def _sweep_messages(self, topic: int, limit: int) -> None:
        self._database.execute(
            "DELETE FROM messages WHERE sequence IN (SELECT sequence FROM messages "
            "WHERE topic = ?1 AND sequence < (SELECT first FROM topics WHERE serial = ?1) "
            "ORDER BY sequence LIMIT ?2)",
            (topic, limit),
        )

    def _sweep_acknowledged(self, owner: int, limit: int) -> None:
        """Remove rows of a subscription up to its floor, or any of one that does not exist."""
        self._database.execute(
            "DELETE FROM acknowledged WHERE owner = ?1 AND sequence IN (SELECT sequence "
            "FROM acknowledged WHERE owner = ?1 AND sequence <= "
            "coalesce((SELECT floor FROM subscriptions WHERE serial = ?1), ?2) LIMIT ?3)",
            (owner, _LAST, limit),
        )

    def _sweep_all(self) -> None:
        """Remove the rows out of sight, and deleted topics that nothing refers to."""
        for statement in _SWEEP:
            self._database.execute(statement)

    def _state(self) -> StoredState:
        topics = self._rows(
            "SELECT serial, name, settings, deleted, history_from FROM topics ORDER BY serial"
        )
        return StoredState(
            topics=[encoding.topic_record(row) for row in topics],
            messages={row[0]: self._messages(row[0]) for row in topics},
            subscriptions=[
                (encoding.subscription_record(row), self._ack_state(row[0], floor))
                for *row, floor in self._rows("SELECT * FROM subscriptions ORDER BY serial")
            ],
            snapshots=[
                (encoding.snapshot_record(row), self._ack_state(row[0], floor))
                for *row, floor in self._rows("SELECT * FROM snapshots ORDER BY serial")
            ],
            reserved=max((row[0] for row in self._rows("SELECT serial FROM reserved")), default=0),
        )

    def _messages(self, topic: int) -> list[Message]:
        rows = self._database.execute(
            "SELECT sequence, publish_time, data, attributes, ordering_key FROM messages "
            "WHERE topic = ? ORDER BY sequence",
            (topic,),
        )
        return [encoding.message(row) for row in rows]

    def _ack_state(self, owner: int, floor: int) -> AckState:
        rows = self._rows("SELECT sequence FROM acknowledged WHERE owner = ?", owner)
        return AckState(floor, {row[0] for row in rows})

    def _rows(self, statement: str, *values: int) -> list[encoding.Row]:
        return self._database.execute(statement, values).fetchall()
