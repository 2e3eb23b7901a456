"""The credentials, with google-auth itself."""

import json
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import google.auth
import httpx
import pytest
from google.auth.transport.requests import Request

from tf_dataflow_serving.services.credentials import local_credentials


@pytest.fixture
def contacted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every host that this process looks up, and every address that it connects to."""
    seen: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def recording_connect(self: socket.socket, address: Any) -> None:
        seen.append(address[0])
        connect(self, address)

    def recording_look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(host)
        return look_up(host, *arguments, **options)

    def no_name(address: Any) -> Any:
        raise AssertionError(f"looked up the name of {address}")

    monkeypatch.setattr(socket.socket, "connect", recording_connect)
    monkeypatch.setattr(socket, "getaddrinfo", recording_look_up)
    monkeypatch.setattr(socket, "gethostbyaddr", no_name)
    monkeypatch.setattr(socket, "getfqdn", no_name)
    return seen


def test_google_auth_gets_a_token_and_asks_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contacted: list[Any]
) -> None:
    with local_credentials(tmp_path, "my-project") as path:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        credentials, project = google.auth.default(
            scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        credentials.refresh(Request())
        headers: dict[str, str] = {}
        credentials.before_request(Request(), "GET", "http://localhost", headers)
    assert (project, credentials.valid) == ("my-project", True)
    assert headers["authorization"] == f"Bearer {credentials.token}"
    assert set(contacted) == {"127.0.0.1"}


@pytest.mark.parametrize("left", [False, True])
def test_only_the_owner_reads_the_key(tmp_path: Path, left: bool) -> None:
    if left:
        (tmp_path / "credentials.json").write_text("of an earlier run")
        (tmp_path / "credentials.json").chmod(0o644)
    with local_credentials(tmp_path, "p") as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_key_is_new(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with local_credentials(tmp_path, "p") as path:
            keys.append(json.loads(path.read_text())["private_key"])
    assert keys[0] != keys[1]


def test_it_ends(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with local_credentials(tmp_path, "p") as path, httpx.Client() as client:
        url = json.loads(path.read_text())["token_uri"]
        assert client.post(url, data={"a": "b"}).json()["access_token"]
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.post(url)


@pytest.mark.parametrize(
    ("length", "status"), [("-1", 411), ("x", 411), ("", 411), ("99999999", 413)]
)
def test_odd_requests_are_refused(tmp_path: Path, length: str, status: int) -> None:
    with local_credentials(tmp_path, "p") as path:
        url = httpx.URL(json.loads(path.read_text())["token_uri"])
        with socket.create_connection((url.host, url.port), timeout=5) as connection:
            request = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(request.encode())
            assert connection.recv(100).split()[1] == str(status).encode()
