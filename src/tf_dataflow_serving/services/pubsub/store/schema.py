"""The SQLite file in the data directory: its tables, and who may open it."""

import sqlite3
from pathlib import Path

from tf_dataflow_serving.errors import UserError

FILE_NAME = "pubsub.sqlite3"

APPLICATION_ID = 0x50755375
"""Tells our files from those of others: "PuSu"."""
SCHEMA_VERSION = 1

_TABLES = (
    "CREATE TABLE reserved (serial INTEGER NOT NULL)",
    # Messages below `first` are deleted, though their rows may still be there.
    "CREATE TABLE topics (serial INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "settings TEXT NOT NULL, deleted INTEGER NOT NULL, history_from INTEGER NOT NULL, "
    "first INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE messages (sequence INTEGER PRIMARY KEY, topic INTEGER NOT NULL, "
    "publish_time INTEGER NOT NULL, data BLOB NOT NULL, attributes TEXT NOT NULL, "
    "ordering_key TEXT NOT NULL)",
    "CREATE INDEX messages_by_topic ON messages (topic)",
    "CREATE TABLE subscriptions (serial INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "topic INTEGER NOT NULL, settings TEXT NOT NULL, detached INTEGER NOT NULL, "
    "history_from INTEGER NOT NULL, first_lease INTEGER NOT NULL, floor INTEGER NOT NULL)",
    "CREATE TABLE snapshots (serial INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "topic INTEGER NOT NULL, expire_time INTEGER NOT NULL, labels TEXT NOT NULL, "
    "floor INTEGER NOT NULL)",
    # Of subscriptions and snapshots, by serial. What is not above the floor does not count.
    "CREATE TABLE acknowledged (owner INTEGER NOT NULL, sequence INTEGER NOT NULL, "
    "PRIMARY KEY (owner, sequence)) WITHOUT ROWID",
)

# Source: sqlite.org/fileformat2.html, "The Database Header".
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_USER_VERSION = slice(60, 64)
_APPLICATION_ID = slice(68, 72)


class DataDirectoryRefused(UserError):
    """The data directory cannot be used."""


def open_database(directory: Path) -> sqlite3.Connection:
    """Open the file of a data directory, made if it is not there, for this process alone.

    Raises DataDirectoryRefused, and then has left alone what was there.
    """
    file = directory / FILE_NAME
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_header(file)
        return _connect(file)
    except OSError as error:
        raise DataDirectoryRefused(
            f"The data directory {directory} cannot be used: {error.strerror}."
        ) from error
    except sqlite3.Error as error:
        raise _refusal(file, error) from error


def _check_header(file: Path) -> None:
    """Refuse a file of others before SQLite opens it, which might change it.

    The header is in the file from the beginning: tables are made before the log is used.
    """
    if not file.exists():
        return
    with file.open("rb") as opened:
        header = opened.read(_HEADER_BYTES)
    if not header:
        return
    application = int.from_bytes(header[_APPLICATION_ID])
    if not header.startswith(_MAGIC) or application != APPLICATION_ID:
        raise DataDirectoryRefused(f"{file} is not a file of this emulator; nothing was changed.")
    version = int.from_bytes(header[_USER_VERSION])
    if version != SCHEMA_VERSION:
        raise DataDirectoryRefused(
            f"{file} was written by another version of this emulator (its format is {version}, "
            f"not {SCHEMA_VERSION}); nothing was changed."
        )


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=0, isolation_level=None)
    try:
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    # Held until the connection is closed or the process is dead, in whatever way it died.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    _create_tables(database)
    database.execute("PRAGMA journal_mode = WAL")
    # A commit is in the hands of the operating system, so that it survives the death of the
    # process. It is not forced to the disk: a power failure may lose the latest commits, but
    # leaves those before them whole.
    database.execute("PRAGMA synchronous = NORMAL")


def _create_tables(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        for table in _TABLES:
            database.execute(table)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute("COMMIT")


def _refusal(file: Path, error: sqlite3.Error) -> DataDirectoryRefused:
    # The low byte: above it is what kind of SQLITE_BUSY it was.
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
        return DataDirectoryRefused(f"Another process is using the data directory {file.parent}.")
    return DataDirectoryRefused(f"{file} cannot be opened: {error}.")
