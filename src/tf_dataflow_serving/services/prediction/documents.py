"""What a service has to remember: JSON documents, in a file or nowhere."""

import sqlite3
import threading
from pathlib import Path
from typing import Any, Self

import orjson

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class DocumentsInUse(OSError):
    """Another process has the file of documents open."""

    def __init__(self) -> None:
        super().__init__("another service is using it.")


class Documents:
    """Documents by kind and key; threads may use it at the same time.

    Once `put` or `delete` has returned, a crash of the process does not undo it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        connection.execute(_SCHEMA)

    @classmethod
    def in_file(cls, path: Path) -> Self:
        """Open the documents in a file, which is made if it is not there.

        Raises DocumentsInUse, or sqlite3.Error for a file that cannot be used.
        """
        connection = _connect(str(path))
        try:
            _claim(connection)
            return cls(connection)
        except sqlite3.Error as error:
            connection.close()
            # The low byte: above it is what kind of SQLITE_BUSY it was.
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise DocumentsInUse from error
            raise

    @classmethod
    def in_memory(cls) -> Self:
        """Return documents that are gone with the process."""
        return cls(_connect(":memory:"))

    def put(self, kind: str, key: str, value: object) -> None:
        """Keep a value that JSON can hold, in place of the one that was there."""
        document = orjson.dumps(value)
        with self._lock:
            self._connection.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, document)
            )

    def delete(self, kind: str, key: str) -> None:
        """Forget a document, if there is one."""
        with self._lock:
            self._connection.execute(
                "DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key)
            )

    def all(self, kind: str) -> dict[str, Any]:
        """Return the documents of a kind by their keys, in the order of these."""
        with self._lock:
            found = self._connection.execute(
                "SELECT key, value FROM documents WHERE kind = ? ORDER BY key", (kind,)
            ).fetchall()
        return {key: orjson.loads(value) for key, value in found}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _connect(database: str) -> sqlite3.Connection:
    return sqlite3.connect(database, timeout=0, isolation_level=None, check_same_thread=False)


def _claim(connection: sqlite3.Connection) -> None:
    # Held until the connection is closed or the process is dead: two services would do the work
    # on each job twice.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # A crash of the process loses nothing with it, a power cut the last moments.
    connection.execute("PRAGMA synchronous = NORMAL")
