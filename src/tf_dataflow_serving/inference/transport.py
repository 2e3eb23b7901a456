"""JSON over HTTP to a prediction service: pooled, retried, authorised where that is due."""

import threading
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.retry import Retrier, RetryPolicy, Transient

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that a retry may help with."""
_ABOUT_THE_BODY = frozenset({400, 413, 422})
"""Statuses by which the service may mean the instances in the request; others mean the endpoint."""
_HEADERS = {"Content-Type": "application/json"}


class Conflict(EndpointRefused):
    """There is such a resource already."""


class Transport:
    """A pool of keep-alive connections to one service; threads may use it at the same time."""

    def __init__(
        self, url: str, timeout: float, policy: RetryPolicy, connections: int = 100
    ) -> None:
        remote = urlsplit(url).scheme == "https"
        self._retrier = Retrier(policy)
        self._client = httpx.Client(
            base_url=url,
            timeout=timeout,
            auth=_GoogleToken() if remote else None,
            # A proxy has no business between this process and a service beside it.
            trust_env=remote,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    def post(self, path: str, body: bytes) -> bytes:
        """Return the response's body; raises as `_checked` does, or PredictionUnavailable."""
        return self._retrier.call(lambda: self._send("POST", path, body))

    def get(self, path: str) -> bytes:
        """Return the response's body; raises as `_checked` does, or PredictionUnavailable."""
        return self._retrier.call(lambda: self._send("GET", path, None))

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        try:
            response = self._client.request(method, path, content=body, headers=_HEADERS)
        except httpx.TransportError as error:
            raise Transient(f"{type(error).__name__}: {error}") from error
        return _checked(response)


def _checked(response: httpx.Response) -> bytes:
    """Return the body of a response with status 200.

    Raises Transient, PredictionRejected or EndpointRefused by the status.
    """
    status = response.status_code
    if status == httpx.codes.OK:
        return response.content
    reason = _reason(response)
    if status in _PASSING:
        raise Transient(reason, _retry_after(response.headers, datetime.now(UTC)))
    if status in _ABOUT_THE_BODY:
        raise PredictionRejected(reason)
    if status == httpx.codes.CONFLICT:
        raise Conflict(reason)
    raise EndpointRefused(reason)


def _reason(response: httpx.Response) -> str:
    """Return the status with the message of an error as Google's APIs write it, if it is one."""
    try:
        error = orjson.loads(response.content)["error"]
        message = error["message"] if isinstance(error, dict) else error
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = response.reason_phrase
    return f"HTTP {response.status_code}: {message}"


def _retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds of Retry-After, which is a number or a date (RFC 9110, 10.2.3), else 0."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


class _GoogleToken(httpx.Auth):
    """Authorises requests by the application default credentials."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Any = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request

    def _token(self) -> str:
        # Found and refreshed only when first needed: both may take a lookup.
        import google.auth  # noqa: PLC0415
        from google.auth.transport.requests import Request  # noqa: PLC0415

        with self._lock:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            token: str = self._credentials.token
        return token
