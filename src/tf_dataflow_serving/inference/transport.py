"""JSON over HTTP to a prediction service: pooled, throttled, retried, authorised where due."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import orjson

from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.failures import OverQuota, Throttled, TooSlow, Transient
from tf_dataflow_serving.inference.google_token import GoogleToken
from tf_dataflow_serving.inference.retry import Patience, Retrier, RetryPolicy
from tf_dataflow_serving.inference.throttling import Gate

CONNECTIONS = 100

_PASSING: Mapping[int, type[Transient]] = {
    408: Transient,
    429: OverQuota,
    500: Transient,
    502: Transient,
    503: Throttled,
    504: TooSlow,
}
"""Statuses that a retry may help with."""
_TOO_LARGE = 413
_ABOUT_THE_BODY = frozenset({400, _TOO_LARGE, 422})
"""Statuses by which the service may mean the instances in the request; others mean the endpoint."""
_NOT_THE_BODY = "FAILED_PRECONDITION"
"""The canonical code of a 400 that means the endpoint's state (google/rpc/code.proto)."""
_LONGEST_QUIET = 3600.0
_HEADERS = {"Content-Type": "application/json"}

Result = TypeVar("Result")


class Conflict(EndpointRefused):
    """There is such a resource already."""


class MissingResource(EndpointRefused):
    """There is no such resource."""


class RequestTooLarge(PredictionRejected):
    """The request has more bytes, or instances, than the service takes at once."""


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Transport:
    """A pool of keep-alive connections to one service; threads may use it at the same time.

    `timeout` is that of a request, in seconds; its answer may take as long again to come in.
    Everything raises EndpointRefused, PredictionRejected or PredictionUnavailable.
    """

    def __init__(
        self, url: str, timeout: float, policy: RetryPolicy, gate: Gate | None = None
    ) -> None:
        remote = urlsplit(url).scheme == "https"
        self._timeout = timeout
        self._retrier = Retrier(policy, gate or Gate(CONNECTIONS))
        self._client = httpx.Client(
            base_url=url,
            timeout=timeout,
            auth=GoogleToken() if remote else None,
            # A proxy has no business between this process and a service beside it.
            trust_env=remote,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )

    def patience(self) -> Patience:
        """Return that of a caller that begins now."""
        return self._retrier.patience()

    def post(
        self,
        path: str,
        body: bytes,
        patience: Patience | None = None,
        final: tuple[type[Transient], ...] = (),
    ) -> dict[str, Any]:
        """Return the JSON object of the answer; failures that are `final` are not retried."""
        return self.persist(lambda: self.post_once(path, body), patience, final)

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object of the answer."""
        return self.persist(lambda: self.get_once(path))

    def persist(
        self,
        function: Callable[[], Result],
        patience: Patience | None = None,
        final: tuple[type[Transient], ...] = (),
    ) -> Result:
        """Return the result of a function of single requests, called again while that may help."""
        return self._retrier.call(function, patience, final)

    def post_once(self, path: str, body: bytes) -> dict[str, Any]:
        """Return the JSON object of the answer to one request, or raise Transient."""
        return _checked(self._exchange("POST", path, body))

    def get_once(self, path: str) -> dict[str, Any]:
        """Return the JSON object of the answer to one request, or raise Transient."""
        return _checked(self._exchange("GET", path, None))

    def _exchange(self, method: str, path: str, body: bytes | None) -> Answer:
        try:
            with self._client.stream(method, path, content=body, headers=_HEADERS) as response:
                content = self._read(response)
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise TooSlow(f"{type(error).__name__}: {error}") from error
        except httpx.RequestError as error:
            raise Transient(f"{type(error).__name__}: {error}") from error
        return Answer(response.status_code, response.headers, content)

    def _read(self, response: httpx.Response) -> bytes:
        """Return the body; raises TooSlow for one that drips."""
        end = time.monotonic() + self._timeout
        chunks = []
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            if time.monotonic() > end:
                raise TooSlow(f"the answer was not complete after {self._timeout:g} s")
        return b"".join(chunks)


def _checked(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer with status 200.

    Raises Transient, PredictionRejected or EndpointRefused by the status.
    """
    if answer.status == httpx.codes.OK:
        return _json_object(answer.content)
    reason = _reason(answer)
    if answer.status in _PASSING:
        wait = _retry_after(answer.headers, datetime.now(UTC))
        raise _PASSING[answer.status](reason, wait)
    if answer.status in _ABOUT_THE_BODY and not _means_the_endpoint(answer):
        raise _rejection(answer.status)(reason)
    raise _refusal(answer.status)(reason)


def _rejection(status: int) -> type[PredictionRejected]:
    return RequestTooLarge if status == _TOO_LARGE else PredictionRejected


def _refusal(status: int) -> type[EndpointRefused]:
    kinds: dict[int, type[EndpointRefused]] = {404: MissingResource, 409: Conflict}
    return kinds.get(status, EndpointRefused)


def _json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object that an answer is; raises EndpointRefused for other JSON.

    What is no JSON at all may be half an answer, or that of a broken proxy: Transient.
    """
    try:
        value = _loads(content)
    except (ValueError, RecursionError) as error:
        raise Transient(f"the response is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise EndpointRefused("the response is not a JSON object")
    return value


def _loads(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # TensorFlow Serving writes NaN and Infinity (rapidjson's kWriteNanAndInfFlag).
        return json.loads(content)


def _error(answer: Answer) -> object:
    """Return the error of an answer as Google's APIs write it, None if it is not one."""
    try:
        return orjson.loads(answer.content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _reason(answer: Answer) -> str:
    error = _error(answer)
    message = error.get("message") if isinstance(error, dict) else error
    return f"HTTP {answer.status}: {message or httpx.codes.get_reason_phrase(answer.status)}"


def _means_the_endpoint(answer: Answer) -> bool:
    error = _error(answer)
    return isinstance(error, dict) and error.get("status") == _NOT_THE_BODY


def _retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds of Retry-After, an hour at most; 0 without one that makes sense."""
    return min(_LONGEST_QUIET, _asked_wait(headers.get("Retry-After", "").strip(), now))


def _asked_wait(value: str, now: datetime) -> float:
    """Read a number of seconds, or a date (RFC 9110, 10.2.3)."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
