"""The store in a data directory: what it keeps, from whom it keeps away."""

import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from tf_dataflow_serving.services.pubsub.errors import StorageFailed
from tf_dataflow_serving.services.pubsub.message import Draft, Message
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings
from tf_dataflow_serving.services.pubsub.store import sqlite
from tf_dataflow_serving.services.pubsub.store.interface import (
    AckState,
    SnapshotRecord,
    StoredState,
    SubscriptionRecord,
    TopicRecord,
)
from tf_dataflow_serving.services.pubsub.store.schema import FILE_NAME, DataDirectoryRefused
from tf_dataflow_serving.services.pubsub.store.sqlite import SqliteStore

TOPIC = TopicRecord(1, "projects/p/topics/top", TopicSettings())
SUBSCRIPTION = SubscriptionRecord(2, "projects/p/subscriptions/sub", 1, SubscriptionSettings())
SNAPSHOT = SnapshotRecord(3, "projects/p/snapshots/snap", 1, 10**18, {"a": "b"})

HOLD = """
import sys
from pathlib import Path
from tf_dataflow_serving.services.pubsub.store.sqlite import SqliteStore
from tf_dataflow_serving.services.pubsub.settings import TopicSettings
from tf_dataflow_serving.services.pubsub.store.interface import TopicRecord
store = SqliteStore(Path(sys.argv[1]))
store.save_topic(TopicRecord(7, "projects/p/topics/kept", TopicSettings()))
with store.transaction():
    store.save_topic(TopicRecord(8, "projects/p/topics/unfinished", TopicSettings()))
    print("ready", flush=True)
    sys.stdin.read()
"""


class Abandoned(Exception):
    """Ends a transaction."""


def messages(*sequences, data=b"data"):
    return [
        Message(sequence, 10**18 + sequence, Draft(data, {"key": "vålue"}, f"{sequence % 2}"))
        for sequence in sequences
    ]


@contextmanager
def opened(directory):
    with closing(SqliteStore(directory)) as store:
        store.save_topic(TOPIC)
        store.add_subscription(SUBSCRIPTION, 10)
        yield store


def reloaded(directory):
    with closing(SqliteStore(directory)) as store:
        return store.load()


def count(directory, table):
    with closing(sqlite3.connect(directory / FILE_NAME)) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608


def test_everything_is_there_again(tmp_path):
    with opened(tmp_path) as store:
        store.append(1, messages(11, 12, 13))
        store.acknowledge(2, [12])
        store.add_snapshot(SNAPSHOT, 2)
    assert reloaded(tmp_path) == StoredState(
        topics=[TOPIC],
        messages={1: messages(11, 12, 13)},
        subscriptions=[(SUBSCRIPTION, AckState(10, {12}))],
        snapshots=[(SNAPSHOT, AckState(10, {12}))],
    )


def test_a_failed_transaction_leaves_nothing_of_the_ones_within(tmp_path):
    with opened(tmp_path) as store:
        with pytest.raises(Abandoned), store.transaction():
            with store.transaction():
                store.append(1, messages(11))
            store.acknowledge(2, [11])
            raise Abandoned
        store.append(1, messages(12))
        assert store.load().messages == {1: messages(12)}
        assert store.load().subscriptions == [(SUBSCRIPTION, AckState(10))]


def test_a_full_disk_changes_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(StorageFailed, match="cannot be written"), store.transaction():
                store.acknowledge(2, [11])
                store.append(1, messages(11, 12, data=bytes(1_000_000)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.append(1, messages(13))
    state = reloaded(tmp_path)
    assert state.messages == {1: messages(13)}
    assert state.subscriptions == [(SUBSCRIPTION, AckState(10))]


def test_what_one_call_does_not_remove_the_next_ones_do(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "ROWS_PER_SWEEP", 4)
    with opened(tmp_path) as store:
        store.append(1, messages(*range(11, 21)))
        store.acknowledge(2, range(11, 21))
    for left in (6, 2, 0):
        with closing(SqliteStore(tmp_path)) as store:
            store.delete_messages(1, 21)
            store.raise_floor(2, 20)
        assert (count(tmp_path, "messages"), count(tmp_path, "acknowledged")) == (left, left)


def test_adding_removes_more_than_it_adds(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "ROWS_PER_SWEEP", 0)
    with opened(tmp_path) as store:
        store.append(1, messages(*range(11, 21)))
        store.acknowledge(2, range(11, 21))
        store.delete_messages(1, 21)
        store.raise_floor(2, 20)
        store.append(1, messages(21, 22, 23))
        store.acknowledge(2, [21, 22, 23])
    assert (count(tmp_path, "messages"), count(tmp_path, "acknowledged")) == (7, 7)


def test_a_seek_back_brings_no_old_acknowledgement_to_light(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "ROWS_PER_SWEEP", 0)
    with opened(tmp_path) as store:
        store.acknowledge(2, [11, 12, 15])
        store.raise_floor(2, 13)
        store.seek(2, floor=10, replay_from=15)
        assert store.load().subscriptions == [(SUBSCRIPTION, AckState(10))]


def test_a_seek_to_a_snapshot_brings_its_state_back(tmp_path):
    with opened(tmp_path) as store:
        store.acknowledge(2, [12])
        store.add_snapshot(SNAPSHOT, 2)
        store.acknowledge(2, [11, 14])
        store.raise_floor(2, 12)
        store.seek_to_snapshot(2, 3)
        assert store.load().subscriptions == [(SUBSCRIPTION, AckState(10, {12}))]


def test_what_is_not_removed_yet_does_not_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "ROWS_PER_SWEEP", 1)
    with opened(tmp_path) as store:
        store.append(1, messages(*range(11, 21)))
        store.acknowledge(2, range(11, 21))
        store.delete_messages(1, 20)
        store.raise_floor(2, 19)
    state = reloaded(tmp_path)
    assert state.messages == {1: messages(20)}
    assert state.subscriptions == [(SUBSCRIPTION, AckState(19, {20}))]
    assert (count(tmp_path, "messages"), count(tmp_path, "acknowledged")) == (1, 1)


def test_a_deleted_topic_goes_when_nobody_needs_it(tmp_path):
    deleted = TopicRecord(1, TOPIC.name, TOPIC.settings, deleted=True)
    with opened(tmp_path) as store:
        store.append(1, messages(11))
        store.add_snapshot(SNAPSHOT, 2)
        store.save_topic(deleted)
        store.delete_subscription(2)
    assert reloaded(tmp_path).topics == [deleted]
    with closing(SqliteStore(tmp_path)) as store:
        store.delete_snapshot(3)
    assert reloaded(tmp_path) == StoredState([], {}, [], [])
    assert count(tmp_path, "messages") == 0


def test_the_directory_is_made_for_its_owner_only(tmp_path):
    directory = tmp_path / "some" / "where"
    with opened(directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_is_one_process_s_until_it_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        try:
            assert other.stdout.readline() == b"ready\n"
            with pytest.raises(DataDirectoryRefused, match="is using the data directory"):
                SqliteStore(tmp_path)
        finally:
            other.send_signal(signal.SIGKILL)
            other.wait(10)
    assert [topic.serial for topic in reloaded(tmp_path).topics] == [7]


def foreign_database(file):
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE notes (text)")


def other_version(file):
    with opened(file.parent):
        pass
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: file.write_text("notes"), "not a file of this emulator"),
        (foreign_database, "not a file of this emulator"),
        (other_version, "its format is 99"),
    ],
    ids=["text", "database", "version"],
)
def test_a_file_of_others_is_left_alone(tmp_path, make, reason):
    make(tmp_path / FILE_NAME)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(DataDirectoryRefused, match=reason) as refused:
        SqliteStore(tmp_path)
    assert "\n" not in str(refused.value)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryRefused, match="cannot be used: Not a directory"):
        SqliteStore(tmp_path / "file" / "data")


def test_a_damaged_file_is_told(tmp_path):
    with opened(tmp_path) as store:
        store.append(1, messages(*range(11, 100)))
    file = tmp_path / FILE_NAME
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(DataDirectoryRefused, match="malformed"):
        reloaded(tmp_path)


@pytest.mark.parametrize("table", ["topics", "subscriptions"])
def test_settings_of_another_version_are_told(tmp_path, table):
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute(f"""UPDATE {table} SET settings = '{{"colour": 1}}'""")  # noqa: S608
    with pytest.raises(DataDirectoryRefused, match="colour"):
        reloaded(tmp_path)
