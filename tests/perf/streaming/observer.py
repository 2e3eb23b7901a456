"""Notes when rows become visible in BigQuery: passes its port's traffic on and reads insertAll.

A row is visible, at the latest, when the answer to its insertAll request arrives: the service
answers after its transaction. The observer costs a request two more hops through loopback.
"""

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

LOOPBACK = "127.0.0.1"
START_TIMEOUT_SECONDS = 10.0
_READ_BYTES = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200"


class Unobservable(Exception):
    """A request whose body has no stated length."""


@dataclass(frozen=True)
class Row:
    """What a row says of its message."""

    source_id: int
    source_timestamp: str


@dataclass(frozen=True)
class Arrival:
    """The rows of one request. `moment` is that of its answer, in seconds of the epoch."""

    moment: float
    rows: Sequence[Row]


@dataclass(frozen=True)
class Arrivals:
    """What has become visible, in the order of the answers."""

    _list: list[Arrival] = field(default_factory=list)
    _ids: set[int] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, arrival: Arrival) -> None:
        """Note an answer."""
        with self._changed:
            self._list.append(arrival)
            self._ids.update(row.source_id for row in arrival.rows)
            self._changed.notify_all()

    def snapshot(self) -> Sequence[Arrival]:
        """Return all so far."""
        with self._changed:
            return tuple(self._list)

    def wait_for(self, messages: int, timeout: float) -> bool:
        """Return whether so many different messages are visible within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._ids) >= messages, timeout)


@dataclass(frozen=True)
class Observer:
    """The URL to use in place of BigQuery's, and what came through."""

    url: str
    arrivals: Arrivals


@contextmanager
def observed(bigquery_url: str) -> Iterator[Observer]:
    """Observe the service at a URL, from a thread of this process, for as long as this lasts."""
    arrivals = Arrivals()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="observer")
    thread.start()
    try:
        place = urlsplit(bigquery_url)
        proxy = _Proxy(str(place.hostname), int(place.port or 80), arrivals)
        port = asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(START_TIMEOUT_SECONDS)
        yield Observer(f"http://{LOOPBACK}:{port}", arrivals)
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(START_TIMEOUT_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Proxy:
    """Has one connection to the service for each connection of a client."""

    def __init__(self, host: str, port: int, arrivals: Arrivals) -> None:
        self._place = (host, port)
        self._arrivals = arrivals
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End every connection."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._relay(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service_reader, service_writer = await asyncio.open_connection(*self._place)
        connection = _Connection(self._arrivals)
        answering = asyncio.create_task(connection.answers(service_reader, writer))
        try:
            await connection.requests(reader, service_writer)
        finally:
            answering.cancel()
            service_writer.close()


class _Connection:
    """Requests of HTTP/1.1 one after another: what comes back first is the start of an answer."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._asked: Sequence[Row] = ()

    async def requests(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        """Pass requests on until the client goes."""
        while True:
            head = await reader.readuntil(_HEAD_END)
            body = await reader.readexactly(_body_bytes(head))
            to.write(head + body)
            # Read while the service is at work; no answer is taken up before this is done.
            self._asked = _rows(body) if b"/insertAll" in head.partition(b"\r\n")[0] else ()
            await to.drain()

    async def answers(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        """Pass answers on until the service goes; then the client's connection ends too."""
        while chunk := await reader.read(_READ_BYTES):
            moment = time.time()
            to.write(chunk)
            rows, self._asked = self._asked, ()
            if rows and chunk.startswith(_OK):
                self._arrivals.add(Arrival(moment, rows))
            await to.drain()
        to.close()


def _body_bytes(head: bytes) -> int:
    """Return the length of a request's body; raises Unobservable if it is not told."""
    if b"transfer-encoding" in head.lower():
        raise Unobservable(head.decode("latin-1"))
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


def _rows(body: bytes) -> Sequence[Row]:
    """Return the rows of an insertAll request that come from messages; dead letters do not."""
    sent = [row["json"] for row in orjson.loads(body)["rows"]]
    return [Row(row["source_id"], row["source_timestamp"]) for row in sent if "source_id" in row]
