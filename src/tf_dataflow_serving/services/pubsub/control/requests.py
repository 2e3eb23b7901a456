"""Reads what requests say; whatever is wrong is an InvalidArgument that names the field."""

import math
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request

from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

MAX_BODY_BYTES = 64 * 1024


class Fields:
    """The fields of a request: each is read once, and `finish` refuses those left over.

    A misspelt field must not go unnoticed: the test that sends it would check something else.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._unread = dict(values)

    def text(self, name: str, default: str = "") -> str:
        """Return a string, or the default if it is absent or null."""
        value = self._take(name, default)
        if not isinstance(value, str):
            raise InvalidArgument(f"{name} must be a string.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number, or the default; without one it is required."""
        value = self._take(name, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise InvalidArgument(f"{name} must be a number.")
        return float(value)

    def number_within(self, name: str, limit: int, default: float | None = None) -> float:
        """Return a number from 0 to a limit, or the default; without one it is required."""
        value = self.number(name, default)
        if not 0 <= value <= limit:
            raise InvalidArgument(f"{name} must be from 0 to {limit}.")
        return value

    def optional_whole(self, name: str) -> int | None:
        """Return a whole number, or None if it is absent or null."""
        value = self._take(name, None)
        if value is not None and type(value) is not int:
            raise InvalidArgument(f"{name} must be a whole number.")
        return value

    def finish(self) -> None:
        """Raise InvalidArgument for a field that nobody has read."""
        for name in self._unread:
            raise InvalidArgument(f"{name} is not known here.")

    def _take(self, name: str, default: Any) -> Any:
        value = self._unread.pop(name, None)
        return default if value is None else value


async def body_fields(request: Request) -> Fields:
    """Return the fields of the JSON object in the body; no body is an empty object."""
    try:
        values = orjson.loads(await _bounded_body(request) or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"The request body is no JSON: {error}.") from error
    if not isinstance(values, dict):
        raise InvalidArgument("The request body must be a JSON object.")
    return Fields(values)


def query_fields(request: Request) -> Fields:
    """Return the parameters of the URL."""
    return Fields(request.query_params)


def parsed_whole(name: str, text: str) -> int:
    """Return a whole number, not negative, that a URL has as text."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidArgument(f"{name} must be a whole number, not {text[:40]!r}.")
    return int(text)


async def _bounded_body(request: Request) -> bytes:
    """Return the body, read to its end: a client that still sends would not see the answer."""
    body = bytearray()
    size = 0
    async for data in request.stream():
        size += len(data)
        if size <= MAX_BODY_BYTES:
            body += data
    if size > MAX_BODY_BYTES:
        raise InvalidArgument(f"The request body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)
