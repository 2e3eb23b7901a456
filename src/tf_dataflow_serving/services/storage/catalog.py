"""What exists: buckets, objects and unfinished uploads, in one SQLite file.

What is committed survives the death of the process: SQLite hands its log to the operating system
at every commit. It is not forced to the disk, so a power failure may lose the last moments.
"""

import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from tf_dataflow_serving.services.storage.errors import DataDirectoryInUse
from tf_dataflow_serving.services.storage.preconditions import Preconditions
from tf_dataflow_serving.services.storage.resources import (
    Bucket,
    Checksums,
    Content,
    Digest,
    StoredObject,
)
from tf_dataflow_serving.services.storage.uploads import Intent, Part, Upload

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
  name TEXT PRIMARY KEY, project TEXT NOT NULL, generation INTEGER NOT NULL,
  metageneration INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
  settings BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT NOT NULL REFERENCES buckets, name TEXT NOT NULL, generation INTEGER NOT NULL,
  metageneration INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
  attributes BLOB NOT NULL, blob TEXT NOT NULL, components INTEGER, size INTEGER NOT NULL,
  crc32c BLOB NOT NULL, md5 BLOB,
  PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_by_blob ON objects (blob);
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES buckets ON DELETE CASCADE,
  name TEXT NOT NULL, started TEXT NOT NULL, attributes BLOB NOT NULL,
  preconditions BLOB NOT NULL, md5 BLOB, crc32c BLOB, blob TEXT, total INTEGER,
  generation INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_age ON uploads (started);
CREATE TABLE IF NOT EXISTS parts (
  upload TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL,
  blob TEXT NOT NULL, size INTEGER NOT NULL, crc32c BLOB NOT NULL, md5 BLOB NOT NULL,
  PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""


class Catalog:
    """One process's exclusive hold on the metadata file; its methods may run in any thread."""

    def __init__(self, file: Path):
        self._lock = threading.RLock()
        self._database = sqlite3.connect(
            file, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise DataDirectoryInUse(str(file.parent)) from error
            raise

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is one change, seen and kept whole or not at all."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def buckets(self, project: str) -> list[Bucket]:
        """Return the project's buckets in the order of their names."""
        rows = self._rows("SELECT * FROM buckets WHERE project = ? ORDER BY name", project)
        return [_bucket(row) for row in rows]

    def bucket(self, name: str) -> Bucket | None:
        """Return the bucket of that name, if there is one."""
        row = self._row("SELECT * FROM buckets WHERE name = ?", name)
        return _bucket(row) if row else None

    def put_bucket(self, bucket: Bucket) -> None:
        """Insert or replace a bucket."""
        self._write(
            "INSERT INTO buckets VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "metageneration = excluded.metageneration, updated = excluded.updated, "
            "settings = excluded.settings",
            bucket.name,
            bucket.project,
            bucket.generation,
            bucket.metageneration,
            bucket.created.isoformat(),
            bucket.updated.isoformat(),
            orjson.dumps(bucket.settings),
        )

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket and the uploads into it."""
        self._write("DELETE FROM buckets WHERE name = ?", name)

    def object(self, bucket: str, name: str) -> StoredObject | None:
        """Return the live object of that name, if there is one."""
        row = self._row("SELECT * FROM objects WHERE bucket = ? AND name = ?", bucket, name)
        return _object(row) if row else None

    def objects_between(
        self, bucket: str, lower: str, upper: str | None, limit: int
    ) -> list[StoredObject]:
        """Return the first objects with lower <= name < upper, in the UTF-8 order of names."""
        ceiling = "" if upper is None else "AND name < ?"
        rows = self._rows(
            f"SELECT * FROM objects WHERE bucket = ? AND name >= ? {ceiling} "  # noqa: S608
            "ORDER BY name LIMIT ?",
            *(value for value in (bucket, lower, upper, limit) if value is not None),
        )
        return [_object(row) for row in rows]

    def put_object(self, item: StoredObject) -> None:
        """Insert an object, or replace the one of the same name."""
        self._write(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            item.bucket,
            item.name,
            item.generation,
            item.metageneration,
            item.created.isoformat(),
            item.updated.isoformat(),
            orjson.dumps(item.attributes),
            item.content.blob,
            item.content.components,
            item.content.digest.size,
            item.content.digest.crc32c,
            item.content.digest.md5,
        )

    def delete_object(self, bucket: str, name: str) -> None:
        """Remove an object's entry."""
        self._write("DELETE FROM objects WHERE bucket = ? AND name = ?", bucket, name)

    def last_generation(self) -> int:
        """Return the highest generation in use, 0 if there is none."""
        row = self._row(
            "SELECT max(coalesce((SELECT max(generation) FROM objects), 0), "
            "coalesce((SELECT max(generation) FROM buckets), 0))"
        )
        return int(row[0]) if row else 0

    def upload(self, upload_id: str) -> Upload | None:
        """Return the upload of that id, if there is one."""
        row = self._row("SELECT * FROM uploads WHERE id = ?", upload_id)
        return _upload(row) if row else None

    def uploads(self, bucket: str) -> list[Upload]:
        """Return the uploads into a bucket."""
        return [
            _upload(row) for row in self._rows("SELECT * FROM uploads WHERE bucket = ?", bucket)
        ]

    def uploads_before(self, moment: datetime) -> list[Upload]:
        """Return the uploads that were started before a moment."""
        rows = self._rows("SELECT * FROM uploads WHERE started < ?", moment.isoformat())
        return [_upload(row) for row in rows]

    def put_upload(self, upload: Upload) -> None:
        """Insert or change an upload."""
        intent = upload.intent
        self._write(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) "
            "DO UPDATE SET blob = excluded.blob, generation = excluded.generation",
            upload.id,
            intent.bucket,
            intent.name,
            upload.started.isoformat(),
            orjson.dumps(intent.attributes),
            orjson.dumps(dataclasses.asdict(intent.preconditions)),
            intent.checksums.md5,
            intent.checksums.crc32c,
            upload.blob,
            upload.total,
            upload.generation,
        )

    def delete_upload(self, upload_id: str) -> None:
        """Remove an upload and its parts."""
        self._write("DELETE FROM uploads WHERE id = ?", upload_id)

    def parts(self, upload_id: str) -> list[Part]:
        """Return the parts of a multipart upload in the order of their numbers."""
        rows = self._rows("SELECT * FROM parts WHERE upload = ? ORDER BY number", upload_id)
        return [_part(row) for row in rows]

    def put_part(self, upload_id: str, part: Part) -> None:
        """Insert a part, or replace the one of the same number."""
        content = part.content
        self._write(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
            upload_id,
            part.number,
            content.blob,
            content.digest.size,
            content.digest.crc32c,
            content.digest.md5,
        )

    def blob_in_use(self, blob: str) -> bool:
        """Tell whether any object holds this content."""
        return self._row("SELECT 1 FROM objects WHERE blob = ? LIMIT 1", blob) is not None

    def all_blobs(self) -> set[str]:
        """Return every content that an object, an upload or a part refers to."""
        rows = self._rows(
            "SELECT blob FROM objects UNION SELECT blob FROM parts "
            "UNION SELECT blob FROM uploads WHERE blob IS NOT NULL"
        )
        return {row[0] for row in rows}

    def _prepare(self) -> None:
        self._database.row_factory = sqlite3.Row
        for pragma in (
            # A second process on the same directory would sweep away what this one writes.
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = OFF",
            "foreign_keys = ON",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)

    def _rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _row(self, statement: str, *values: Any) -> sqlite3.Row | None:
        return next(iter(self._rows(statement, *values)), None)

    def _write(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._database.execute(statement, values)


def _bucket(row: sqlite3.Row) -> Bucket:
    return Bucket(
        name=row["name"],
        project=row["project"],
        generation=row["generation"],
        metageneration=row["metageneration"],
        created=datetime.fromisoformat(row["created"]),
        updated=datetime.fromisoformat(row["updated"]),
        settings=orjson.loads(row["settings"]),
    )


def _object(row: sqlite3.Row) -> StoredObject:
    return StoredObject(
        bucket=row["bucket"],
        name=row["name"],
        generation=row["generation"],
        metageneration=row["metageneration"],
        content=Content(row["blob"], _digest(row), row["components"]),
        created=datetime.fromisoformat(row["created"]),
        updated=datetime.fromisoformat(row["updated"]),
        attributes=orjson.loads(row["attributes"]),
    )


def _upload(row: sqlite3.Row) -> Upload:
    intent = Intent(
        bucket=row["bucket"],
        name=row["name"],
        attributes=orjson.loads(row["attributes"]),
        preconditions=Preconditions(**orjson.loads(row["preconditions"])),
        checksums=Checksums(row["md5"], row["crc32c"]),
    )
    return Upload(
        id=row["id"],
        intent=intent,
        started=datetime.fromisoformat(row["started"]),
        blob=row["blob"],
        total=row["total"],
        generation=row["generation"],
    )


def _part(row: sqlite3.Row) -> Part:
    return Part(row["number"], Content(row["blob"], _digest(row)))


def _digest(row: sqlite3.Row) -> Digest:
    return Digest(row["size"], row["crc32c"], row["md5"])
