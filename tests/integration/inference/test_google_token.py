"""Authorisation by credentials whose token endpoint is on this machine, or is no more."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tf_dataflow_serving.inference.errors import EndpointRefused
from tf_dataflow_serving.inference.failures import Transient
from tf_dataflow_serving.inference.google_token import GoogleToken
from tf_dataflow_serving.services.credentials import local_credentials

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"


def authorised(token: GoogleToken) -> httpx.Request:
    return next(token.auth_flow(httpx.Request("GET", "https://h")))


def test_requests_have_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = GoogleToken()
    with local_credentials(tmp_path, "p") as path:
        monkeypatch.setenv(VARIABLE, str(path))
        assert authorised(token).headers["Authorization"] == "Bearer local"
    assert authorised(token).headers["Authorization"] == "Bearer local"


def test_without_credentials_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing.json"))
    with pytest.raises(EndpointRefused, match=r"not authorised: .*missing\.json"):
        authorised(GoogleToken())


def test_a_token_endpoint_that_is_away_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_credentials(tmp_path, "p") as path:
        monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(Transient, match="no token"):
        authorised(GoogleToken())


class RevokingHandler(BaseHTTPRequestHandler):
    """Gives tokens with a number, and takes none but the second one."""

    tokens = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        RevokingHandler.tokens += 1
        self._answer(200, {"access_token": f"token-{self.tokens}", "expires_in": 3600})

    def do_GET(self) -> None:
        is_good = self.headers["Authorization"] == "Bearer token-2"
        self._answer(200 if is_good else 401, {})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def revoking_url() -> Iterator[str]:
    RevokingHandler.tokens = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), RevokingHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_token_that_is_refused_before_its_time_is_renewed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revoking_url: str
) -> None:
    with local_credentials(tmp_path, "p") as path:
        account = json.loads(path.read_text()) | {"token_uri": f"{revoking_url}/token"}
        path.write_text(json.dumps(account))
        monkeypatch.setenv(VARIABLE, str(path))
        with httpx.Client(auth=GoogleToken(), trust_env=False) as client:
            statuses = [client.get(revoking_url).status_code for _ in range(3)]
    assert (statuses, RevokingHandler.tokens) == ([200, 200, 200], 2)


def test_a_token_that_is_refused_again_is_not_renewed_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revoking_url: str
) -> None:
    RevokingHandler.tokens = 5
    with local_credentials(tmp_path, "p") as path:
        account = json.loads(path.read_text()) | {"token_uri": f"{revoking_url}/token"}
        path.write_text(json.dumps(account))
        monkeypatch.setenv(VARIABLE, str(path))
        with httpx.Client(auth=GoogleToken(), trust_env=False) as client:
            assert client.get(revoking_url).status_code == 401
    assert RevokingHandler.tokens == 7
