"""Requests over bare sockets, which cost the client next to nothing, and how long they take."""

import socket
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from statistics import median, quantiles

MS = 1_000


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def ask(connection: socket.socket, message: bytes) -> bytes:
    """Send a request and return the body of the answer, which has status 200."""
    connection.sendall(message)
    received = connection.recv(65_536)
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    while len(body) < _length(head):
        body += connection.recv(65_536)
    return body


async def ask_stream(reader: StreamReader, writer: StreamWriter, message: bytes) -> float:
    """Do the same with a stream; return how many milliseconds it took."""
    start = time.perf_counter()
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_length(head))
    return (time.perf_counter() - start) * MS


def timed(call: Callable[[], object]) -> float:
    """Return how many milliseconds a call took."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * MS


def p50(milliseconds: list[float]) -> float:
    """Return the median, to the microsecond."""
    return round(median(milliseconds), 3)


def p99(milliseconds: list[float]) -> float:
    """Return what one in a hundred is above."""
    return round(quantiles(milliseconds, n=100)[98], 3)


def _length(head: bytes) -> int:
    assert head.startswith(b"HTTP/1.1 200 "), head
    (length,) = (
        line.partition(b":")[2]
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    return int(length)
