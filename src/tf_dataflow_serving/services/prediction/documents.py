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
        """Open the documents in a file, which is made if it is not there."""
        connection = _connect(str(path))
        connection.execute("PRAGMA journal_mode = WAL")
        # A crash of the process loses nothing with it, a power cut the last moments.
        connection.execute("PRAGMA synchronous = NORMAL")
        return cls(connection)

    @classmethod
    def in_memory(cls) -> Self:
        """Return documents that are gone with the process."""
        return cls(_connect(":memory:"))

    def put(self, kind: str, key: str, value: object) -> None:
        """Keep a value that JSON can hold, in place of the one that was there."""
        with self._lock:
            self._connection.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
                (kind, key, orjson.dumps(value)),
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
    return sqlite3.connect(database, isolation_level=None, check_same_thread=False)
