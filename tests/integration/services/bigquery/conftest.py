"""The BigQuery service as a child process, with the storage service beside it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, bigquery_storage, storage

from tf_dataflow_serving.services import redirect
from tf_dataflow_serving.services.credentials import local_credentials
from tf_dataflow_serving.services.process import ServiceProcess

PROJECT = "local-project"


@dataclass(frozen=True)
class Running:
    """Where the services are, and the variables that lead every client there."""

    rest_url: str
    storage_api: str
    storage_url: str
    environment: dict[str, str]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("bigquery-services")
    with local_credentials(directory, PROJECT) as credentials:
        objects = _start("storage", [], directory)
        try:
            yield from _with_bigquery(objects, Path(credentials), directory)
        finally:
            objects.stop()


def _with_bigquery(
    objects: ServiceProcess, credentials: Path, directory: Path
) -> Iterator[Running]:
    storage_url = f"http://127.0.0.1:{objects.ports['http']}"
    service = _start("bigquery", ["--project", PROJECT, "--storage_url", storage_url], directory)
    try:
        environment = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{service.ports['http']}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{service.ports['grpc']}",
            "STORAGE_EMULATOR_HOST": storage_url,
        }
        yield Running(
            environment["BIGQUERY_EMULATOR_HOST"],
            environment["BIGQUERY_STORAGE_EMULATOR_HOST"],
            storage_url,
            environment,
        )
        service.raise_if_dead()
    finally:
        service.stop()


def _start(name: str, arguments: list[str], directory: Path) -> ServiceProcess:
    return ServiceProcess.start(
        name,
        f"tf_dataflow_serving.services.{name}",
        arguments,
        directory / f"{name}.log",
        {**os.environ, "HOME": str(directory / "no-home")},
    )


@pytest.fixture
def redirected(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    redirect.install()
    return running


@pytest.fixture
def client(redirected: Running) -> Iterator[bigquery.Client]:
    with bigquery.Client(project=PROJECT, credentials=AnonymousCredentials()) as made:
        yield made


@pytest.fixture
def reader(redirected: Running) -> bigquery_storage.BigQueryReadClient:
    return bigquery_storage.BigQueryReadClient(credentials=AnonymousCredentials())


@pytest.fixture
def bucket(redirected: Running) -> storage.Bucket:
    objects = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
    return objects.create_bucket(f"bucket-{uuid4().hex[:12]}")


@pytest.fixture
def dataset(client: bigquery.Client) -> Iterator[str]:
    """The id of a dataset of this test's own."""
    name = f"dataset_{uuid4().hex[:12]}"
    client.create_dataset(name)
    yield name
    client.delete_dataset(name, delete_contents=True, not_found_ok=True)
