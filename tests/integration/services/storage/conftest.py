"""The storage service as a child process, and Google's own client on it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tf_dataflow_serving.services.process import ServiceProcess

PROJECT = "local-project"


def start_service(directory: Path, *arguments: str) -> ServiceProcess:
    return ServiceProcess.start(
        "storage",
        "tf_dataflow_serving.services.storage",
        arguments,
        directory / "storage.log",
        {**os.environ, "HOME": str(directory / "no-home")},
    )


def url_of(service: ServiceProcess) -> str:
    return f"http://127.0.0.1:{service.ports['http']}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], ServiceProcess]]:
    """Starts the service on one data directory, as often as a test wishes."""
    with ExitStack() as stack:

        def run() -> ServiceProcess:
            service = start_service(tmp_path, "--data_dir", str(tmp_path / "data"))
            stack.callback(service.stop)
            return service

        yield run


@pytest.fixture(scope="session")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = start_service(tmp_path_factory.mktemp("storage-service"))
    yield url_of(service)
    try:
        service.raise_if_dead()
    finally:
        service.stop()


@pytest.fixture
def on_storage(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    return storage_url


@pytest.fixture
def new_client(on_storage: str) -> Iterator[Callable[[], storage.Client]]:
    """Makes clients with a connection pool each: one must not be used by two threads."""
    clients = []

    def new() -> storage.Client:
        clients.append(storage.Client(project=PROJECT, credentials=AnonymousCredentials()))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


@pytest.fixture
def client(new_client: Callable[[], storage.Client]) -> storage.Client:
    return new_client()


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.create_bucket(f"test-{uuid4().hex}")
