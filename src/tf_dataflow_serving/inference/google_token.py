"""Authorisation of requests to Google, by the application default credentials."""

import threading
from collections.abc import Generator
from typing import Any

import httpx

from tf_dataflow_serving.inference.errors import EndpointRefused
from tf_dataflow_serving.inference.failures import Transient

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleToken(httpx.Auth):
    """Puts a token into each request; found and refreshed only when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Any = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header; raises EndpointRefused without credentials, or Transient.

        A token that is refused may have been revoked before its time: another one is tried.
        """
        token = self._token()
        response = yield _authorised(request, token)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            yield _authorised(request, self._token(refused=token))

    def _token(self, refused: str | None = None) -> str:
        # Both may take a lookup.
        from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415

        with self._lock:
            try:
                return self._fresh_token(refused)
            except GoogleAuthError as error:
                if error.retryable or isinstance(error, TransportError):
                    raise Transient(f"no token: {error}") from error
                raise EndpointRefused(f"not authorised: {error}") from error

    def _fresh_token(self, refused: str | None) -> str:
        import google.auth  # noqa: PLC0415
        from google.auth.transport.requests import Request  # noqa: PLC0415

        if self._credentials is None:
            self._credentials, _ = google.auth.default(scopes=[_SCOPE])
        if not self._credentials.valid or self._credentials.token == refused:
            self._credentials.refresh(Request())
        token: str = self._credentials.token
        return token


def _authorised(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request
