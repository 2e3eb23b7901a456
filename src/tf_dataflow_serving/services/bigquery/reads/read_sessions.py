"""Read sessions: what a table held at one moment, split into streams that are read in parallel.

Source: google.cloud.bigquery.storage.v1, CreateReadSession, ReadRows and SplitReadStream
(https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1).
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol
from uuid import uuid4

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    OutOfRange,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.reads.projection import projected
from tf_dataflow_serving.services.bigquery.reads.row_encoding import (
    Block,
    Compression,
    RowEncoder,
    RowFormat,
    arrow_encoder,
    avro_encoder,
)
from tf_dataflow_serving.services.bigquery.reads.row_restriction import checked_restriction
from tf_dataflow_serving.services.bigquery.retention import expendable
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import Schema, arrow_schema

LIFETIME = timedelta(hours=6)
"""How long BigQuery keeps a session."""

MOST_STREAMS = 1000
"""BigQuery's "default system max limit"."""

# Without a wish of the client's a stream is long: the order of the rows is kept within it only.
_UNASKED_STREAMS = 10
_UNASKED_STREAM_BYTES = 64 * 1024 * 1024
_STREAM_BYTES = 1024 * 1024

_ATTEMPTS = 5

# How far a client's clock may be from ours when it asks for the table as it is now.
_CLOCK_SKEW = timedelta(seconds=1)
_STREAM = re.compile(r"(?P<session>.+)/streams/(?P<first>[0-9]{1,18})-(?P<end>[0-9]{1,18})")


@dataclass(frozen=True)
class ReadRequest:
    """What a client wants to read, and how."""

    project: str
    table: TableRef
    format: RowFormat
    columns: tuple[str, ...] = ()
    restriction: str = ""
    compression: Compression = Compression.NONE
    most_streams: int = 0
    fewest_streams: int = 0
    snapshot: datetime | None = None


@dataclass(frozen=True)
class Retention:
    """How much is kept: bytes of rows, and sessions."""

    most_bytes: int = 512 * 1024 * 1024
    most_sessions: int = 1000


@dataclass(frozen=True)
class Session:
    """Rows as they were when the session was created."""

    name: str
    encoder: RowEncoder
    rows: pa.Table
    expires: datetime
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """A block, and which fraction of the stream had been read before and after it."""

    block: Block
    before: float
    after: float


@dataclass(frozen=True)
class Portion:
    """The rest of a stream, from an offset."""

    encoder: RowEncoder
    rows: pa.Table
    offset: int

    def blocks(self) -> Iterator[Progress]:
        """The rows in blocks of bounded size."""
        position, total = self.offset, self.offset + self.rows.num_rows
        for block in self.encoder.blocks(self.rows):
            end = position + block.rows
            yield Progress(block, position / total, end / total)
            position = end


class Tables(Protocol):
    """What is read from, in any thread; see Warehouse."""

    def schema(self, table: TableRef) -> Schema | None:
        """The schema of a table; None if there is no such table."""
        ...

    def select(self, table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
        """These columns of the rows that satisfy a condition, of the types of `arrow_schema`."""
        ...


class ReadSessions:
    """The sessions of a service; every method may be called in any thread."""

    def __init__(
        self,
        tables: Tables,
        now: Callable[[], datetime],
        retention: Retention = Retention(),
    ) -> None:
        """Take the clock, whose times have a zone."""
        self._tables = tables
        self._now = now
        self._retention = retention
        self._lock = threading.Lock()
        # The one that was used last is last.
        self._sessions: dict[str, Session] = {}

    def create(self, request: ReadRequest) -> Session:
        """Read a table; raises NotFound, InvalidRequest, Unsupported."""
        _check_stream_counts(request)
        _check_whole(request.table)
        self._check_snapshot(request.snapshot)
        chosen, rows = self._read(request)
        name = f"projects/{request.project}/locations/US/sessions/{uuid4().hex}"
        session = Session(
            name=name,
            encoder=_encoder(chosen, request),
            rows=rows,
            expires=self._now() + LIFETIME,
            streams=tuple(_stream_names(name, rows, request)),
        )
        self._keep(session)
        return session

    def read(self, stream: str, offset: int) -> Portion:
        """The rest of a stream; raises NotFound, OutOfRange."""
        session, first, end = self._find(stream)
        if not 0 <= offset <= end - first:
            message = f"Requested offset {offset} is beyond the end of the stream, {end - first}"
            raise OutOfRange(message)
        rows = session.rows.slice(first + offset, end - first - offset)
        return Portion(session.encoder, rows, offset)

    def split(self, stream: str, fraction: float) -> tuple[str, str] | None:
        """Two streams that have the rows of this one between them; None if one had no row.

        Raises NotFound, or InvalidRequest unless the fraction lies within 0 and 1.
        """
        session, first, end = self._find(stream)
        if not 0.0 < fraction < 1.0:
            raise InvalidRequest("The fraction must be greater than 0.0 and less than 1.0")
        middle = first + int((end - first) * fraction)
        if middle in (first, end):
            return None
        return _stream_name(session.name, first, middle), _stream_name(session.name, middle, end)

    def kept(self) -> int:
        """How many sessions can be read."""
        with self._lock:
            self._forget()
            return len(self._sessions)

    def _check_snapshot(self, snapshot: datetime | None) -> None:
        if snapshot is not None and abs(self._now() - snapshot) > _CLOCK_SKEW:
            raise Unsupported("A table can be read only as it is now: snapshot_time")

    def _read(self, request: ReadRequest) -> tuple[Schema, pa.Table]:
        """Read schema and rows, which another thread may change between the two."""
        for _ in range(_ATTEMPTS):
            schema = self._schema(request.table)
            try:
                result = self._select(schema, request)
            except Exception:
                if self._schema(request.table) == schema:
                    raise
            else:
                if self._schema(request.table) == schema:
                    return result
        raise Conflict(f"request failed: Table {request.table} is being changed")

    def _schema(self, table: TableRef) -> Schema:
        schema = self._tables.schema(table)
        if schema is None:
            raise NotFound(f"request failed: Not found: Table {table}")
        if not schema:
            raise InvalidRequest(f"request failed: Table {table} does not have a schema")
        return schema

    def _select(self, schema: Schema, request: ReadRequest) -> tuple[Schema, pa.Table]:
        chosen = projected(schema, request.columns)
        restriction = checked_restriction(request.restriction, schema)
        names = [field.name for field in chosen]
        rows = self._tables.select(request.table, names, restriction)
        # Fields of records that were not asked for are dropped here.
        return chosen, rows.cast(arrow_schema(chosen))

    def _keep(self, session: Session) -> None:
        with self._lock:
            self._sessions[session.name] = session
            self._forget()

    def _forget(self) -> None:
        now = self._now()
        for name in [name for name, kept in self._sessions.items() if kept.expires <= now]:
            del self._sessions[name]
        sizes = [(name, session.rows.nbytes) for name, session in self._sessions.items()]
        for name in expendable(sizes, self._retention.most_bytes):
            del self._sessions[name]
        for name in list(self._sessions)[: -self._retention.most_sessions]:
            del self._sessions[name]

    def _find(self, stream: str) -> tuple[Session, int, int]:
        parts = _STREAM.fullmatch(stream)
        session = self._use(parts["session"]) if parts else None
        if parts is None or session is None:
            raise NotFound(
                f"request failed: Not found: Stream {stream}, or its session has expired"
            )
        first, end = int(parts["first"]), int(parts["end"])
        if not first < end <= session.rows.num_rows:
            raise NotFound(f"request failed: Not found: Stream {stream}")
        return session, first, end

    def _use(self, name: str) -> Session | None:
        with self._lock:
            self._forget()
            session = self._sessions.pop(name, None)
            if session is not None:
                self._sessions[name] = session
            return session


def _encoder(schema: Schema, request: ReadRequest) -> RowEncoder:
    if request.format is RowFormat.AVRO:
        return avro_encoder(schema)
    return arrow_encoder(schema, request.compression)


def _check_whole(table: TableRef) -> None:
    if table.partition:
        message = f"request failed: Partition decorators are not supported: {table}"
        raise InvalidRequest(f"{message}. Use row_restriction.")


def _check_stream_counts(request: ReadRequest) -> None:
    if request.most_streams < 0 or request.fewest_streams < 0:
        raise InvalidRequest("The number of streams must not be negative")
    if 0 < request.most_streams < request.fewest_streams:
        raise InvalidRequest("max_stream_count must not be below preferred_min_stream_count")


def _stream_names(session: str, rows: pa.Table, request: ReadRequest) -> Iterator[str]:
    """Streams of the same length; none for no rows."""
    count = _stream_count(rows, request)
    bounds = [rows.num_rows * number // count for number in range(count + 1)] if count else []
    for first, end in pairwise(bounds):
        yield _stream_name(session, first, end)


def _stream_count(rows: pa.Table, request: ReadRequest) -> int:
    size = _STREAM_BYTES if request.most_streams else _UNASKED_STREAM_BYTES
    worthwhile = max(-(-rows.nbytes // size), request.fewest_streams, 1)
    most = request.most_streams or max(_UNASKED_STREAMS, request.fewest_streams)
    return int(min(worthwhile, most, rows.num_rows, MOST_STREAMS))


def _stream_name(session: str, first: int, end: int) -> str:
    # A stream is its rows, so that splitting one needs no memory.
    return f"{session}/streams/{first}-{end}"
