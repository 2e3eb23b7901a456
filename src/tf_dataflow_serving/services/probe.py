"""Finds out, before anything starts, whether services answer in their own protocol."""

import http.client
import socket
from urllib.parse import urlsplit

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.endpoints import Endpoints

TIMEOUT_SECONDS = 2.0
# RFC 9113, section 3.4: what a client opens with, an empty SETTINGS frame behind it.
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_FRAME_HEADER_BYTES = 9
_SETTINGS = 4


class ServiceDown(UserError):
    """No service, or one that speaks another protocol, is at an address."""


def require_answers(endpoints: Endpoints) -> None:
    """Raise ServiceDown, naming its variable, for the first service that does not answer."""
    for name, place in endpoints.places().items():
        require_answer(name, place)


def require_answer(name: str, place: str) -> None:
    """Raise ServiceDown unless a URL answers over HTTP, or a host:port over HTTP/2 (gRPC)."""
    try:
        answers = _answers_http(place) if "//" in place else _answers_http2(place)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ServiceDown(f"{name}: nothing answers at {place}: {reason}") from error
    if not answers:
        kind = "HTTP" if "//" in place else "gRPC"
        raise ServiceDown(f"{name}: what listens at {place} does not speak {kind}")


def _answers_http(url: str) -> bool:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        # Any status will do: an emulator need not know this path.
        connection.request("GET", "/")
        connection.getresponse()
    except http.client.HTTPException:
        return False
    finally:
        connection.close()
    return True


def _answers_http2(address: str) -> bool:
    parts = urlsplit(f"//{address}")
    place = (parts.hostname or "", parts.port or 443)
    with socket.create_connection(place, TIMEOUT_SECONDS) as connection:
        connection.sendall(_HTTP2_PREFACE)
        # A server opens with its SETTINGS: the fourth byte of a frame is its type.
        with connection.makefile("rb") as received:
            header = received.read(_FRAME_HEADER_BYTES)
    return len(header) == _FRAME_HEADER_BYTES and header[3] == _SETTINGS
