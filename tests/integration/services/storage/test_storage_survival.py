"""What a killed service leaves behind, and what its successor makes of it."""

import os
import socket
from pathlib import Path

import httpx
import pytest

from tf_dataflow_serving.services.process import ServiceFailed, ServiceProcess

from ..kills import Start, kill
from .conftest import url_of

CHUNK = 256 * 1024


def put(url: str, name: str, content: bytes) -> None:
    query = {"uploadType": "media", "name": name}
    httpx.post(
        f"{url}/upload/storage/v1/b/kept/o", params=query, content=content
    ).raise_for_status()


def get(url: str, name: str) -> bytes:
    answer = httpx.get(f"{url}/download/storage/v1/b/kept/o/{name}", params={"alt": "media"})
    return answer.raise_for_status().content


def create_bucket(url: str) -> None:
    query = {"project": "p"}
    httpx.post(f"{url}/storage/v1/b", params=query, json={"name": "kept"}).raise_for_status()


def blobs(directory: Path) -> list[int]:
    """The sizes of the stored contents."""
    files = (directory / "data" / "blobs").glob("*/*")
    return sorted(file.stat().st_size for file in files)


def half_an_upload(port: int, path: str, content: bytes) -> socket.socket:
    """Send some of a body and wait until the service has asked for the rest."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(content) * 2}\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(1024).startswith(b"HTTP/1.1 100")
    connection.sendall(content)
    return connection


def test_finished_objects_outlive_a_kill(start: Start, tmp_path: Path) -> None:
    first = start()
    create_bucket(url_of(first))
    contents = {f"object-{number}": os.urandom(100_000 + number) for number in range(5)}
    for name, content in contents.items():
        put(url_of(first), name, content)
    with half_an_upload(first.ports["http"], "/kept/unfinished", os.urandom(3 << 20)):
        kill(first)
    second = start()
    assert {name: get(url_of(second), name) for name in contents} == contents
    listed = httpx.get(f"{url_of(second)}/storage/v1/b/kept/o").json()["items"]
    assert [item["name"] for item in listed] == sorted(contents)
    assert blobs(tmp_path) == sorted(map(len, contents.values()))


def test_a_resumable_upload_goes_on_after_a_kill(start: Start) -> None:
    first = start()
    create_bucket(url_of(first))
    content = os.urandom(2 * CHUNK + 99)
    query = {"uploadType": "resumable", "name": "object"}
    started = httpx.post(f"{url_of(first)}/upload/storage/v1/b/kept/o", params=query)
    location = httpx.URL(started.headers["location"])
    chunk = {"content-range": f"bytes 0-{CHUNK - 1}/*"}
    assert httpx.put(location, content=content[:CHUNK], headers=chunk).status_code == 308
    with half_an_upload(first.ports["http"], location.raw_path.decode(), b"x"):
        kill(first)
    second = start()
    location = location.copy_with(port=second.ports["http"])
    kept = httpx.put(location, headers={"content-range": "bytes */*"})
    assert (kept.status_code, kept.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    rest = {"content-range": f"bytes {CHUNK}-{len(content) - 1}/{len(content)}"}
    assert httpx.put(location, content=content[CHUNK:], headers=rest).status_code == 200
    assert get(url_of(second), "object") == content


def test_a_directory_serves_one_process(start: Start, tmp_path: Path) -> None:
    first = start()
    with pytest.raises(ServiceFailed, match="is using the data directory"):
        start()
    create_bucket(url_of(first))
    first.stop()
    assert httpx.get(f"{url_of(start())}/storage/v1/b/kept").status_code == 200


def test_without_a_data_directory_nothing_stays(tmp_path: Path) -> None:
    service = ServiceProcess.start(
        "storage",
        "tf_dataflow_serving.services.storage",
        [],
        tmp_path / "storage.log",
        {**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        create_bucket(url_of(service))
        put(url_of(service), "object", b"x")
    finally:
        service.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["storage.log"]
