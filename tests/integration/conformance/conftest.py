"""The same tests on services in all four ways: embedded, containers, external, gcp."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud import bigquery, storage

from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.services import redirect
from tf_dataflow_serving.services.containers.images import Images
from tf_dataflow_serving.services.containers.stack import container_stack
from tf_dataflow_serving.services.endpoints import leave_emulators
from tf_dataflow_serving.services.external import external_services
from tf_dataflow_serving.services.process import end
from tf_dataflow_serving.services.stack import Stack

from .limits import LIMITS
from .typed_rows import insert

CONTAINERS_ASKED_FOR = "DATAFLOW_SERVING_TEST_CONTAINERS"
GCP_PROJECT = "DATAFLOW_SERVING_GCP_PROJECT"


@dataclass(frozen=True)
class Way:
    """Services of one kind, and the environment of a process that works with them."""

    kind: Services
    project: str
    environment: Mapping[str, str]


Start = Callable[[Path], AbstractContextManager[Way]]


@contextmanager
def _embedded(_directory: Path) -> Iterator[Way]:
    with Stack.start() as stack:
        environment = stack.endpoints.applied_to(os.environ)
        yield Way(Services.EMBEDDED, stack.endpoints.project, environment)


@contextmanager
def _containers(_directory: Path) -> Iterator[Way]:
    skip_unless_asked_for()
    with container_stack(Images.from_environment(os.environ), lambda _: None) as stack:
        environment = stack.endpoints.applied_to(os.environ)
        yield Way(Services.CONTAINERS, stack.endpoints.project, environment)


def skip_unless_asked_for() -> None:
    """Containers take minutes more, and images: what makes these asks for them."""
    if not os.environ.get(CONTAINERS_ASKED_FOR):
        pytest.skip(f"${CONTAINERS_ASKED_FOR} is not set; `make containers` sets it")


@contextmanager
def _external(directory: Path) -> Iterator[Way]:
    """The services that somebody started in another terminal."""
    with (
        _services_up(directory) as variables,
        external_services(variables, {}) as endpoints,
    ):
        yield Way(Services.EXTERNAL, endpoints.project, endpoints.applied_to(os.environ))


@contextmanager
def _services_up(directory: Path) -> Iterator[dict[str, str]]:
    environment = {**os.environ, "DATAFLOW_SERVING_STATE": str(directory / "services.json")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tf_dataflow_serving", "services", "up"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
    )
    try:
        yield _printed_exports(process)
    finally:
        end(process)


def _printed_exports(process: "subprocess.Popen[bytes]") -> dict[str, str]:
    assert process.stdout is not None
    exports = {}
    for line in process.stdout:
        words = shlex.split(line.decode(), comments=True)
        if not words:
            return exports
        name, _, value = words[1].partition("=")
        exports[name] = value
    raise AssertionError(f"services up ended with {process.wait()}")


@contextmanager
def _gcp(_directory: Path) -> Iterator[Way]:
    project = os.environ.get(GCP_PROJECT)
    if not project:
        pytest.skip(f"no project in Google's cloud is named by ${GCP_PROJECT}")
    environment = dict(os.environ)
    leave_emulators(environment)
    yield Way(Services.GCP, project, {**environment, "GOOGLE_CLOUD_PROJECT": project})


_STARTS: Mapping[Services, Start] = {
    Services.EMBEDDED: _embedded,
    Services.CONTAINERS: _containers,
    Services.EXTERNAL: _external,
    Services.GCP: _gcp,
}


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Services], Way]]:
    """Start services of a kind, once a session."""
    ways: dict[Services, Way] = {}
    failures: dict[Services, Exception] = {}
    with ExitStack() as running:

        def start(kind: Services) -> Way:
            if kind in failures:
                raise failures[kind]
            if kind not in ways:
                try:
                    directory = tmp_path_factory.mktemp(kind)
                    ways[kind] = running.enter_context(_STARTS[kind](directory))
                except Exception as error:
                    failures[kind] = error
                    raise
            return ways[kind]

        yield start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of LIMITS to fail."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        kind = callspec.params.get("way") if callspec else None
        for name in (item.name, item.name.partition("[")[0]):
            if reason := LIMITS.get((kind, name)):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(params=list(Services), ids=str)
def way(
    request: pytest.FixtureRequest,
    started: Callable[[Services], Way],
    monkeypatch: pytest.MonkeyPatch,
) -> Way:
    """Services of every kind in turn; the clients of this process go there."""
    chosen = started(request.param)
    for name in set(os.environ) - set(chosen.environment):
        monkeypatch.delenv(name)
    for name, value in chosen.environment.items():
        monkeypatch.setenv(name, value)
    redirect.install()
    return chosen


@pytest.fixture
def client(way: Way) -> Iterator[bigquery.Client]:
    with bigquery.Client(project=way.project) as made:
        yield made


@pytest.fixture
def dataset(client: bigquery.Client) -> Iterator[str]:
    """The id of a dataset of this test's own."""
    name = f"conformance_{uuid4().hex[:12]}"
    client.create_dataset(name)
    yield name
    client.delete_dataset(name, delete_contents=True, not_found_ok=True)


@pytest.fixture(scope="session")
def shared_tables(started: Callable[[Services], Way]) -> Iterator[Callable[[Way], str]]:
    """Make a table of every type for tests that only read, one for each kind of services."""
    made: dict[Services, str] = {}
    with ExitStack() as datasets:

        def table(way: Way) -> str:
            if way.kind not in made:
                made[way.kind] = datasets.enter_context(_types_table(way))
            return made[way.kind]

        yield table


@contextmanager
def _types_table(way: Way) -> Iterator[str]:
    with bigquery.Client(project=way.project) as client:
        dataset = f"conformance_{uuid4().hex[:12]}"
        client.create_dataset(dataset)
        table = f"{way.project}.{dataset}.types"
        insert(client, table)
        yield table
        client.delete_dataset(dataset, delete_contents=True)


@pytest.fixture
def types_table(way: Way, shared_tables: Callable[[Way], str]) -> str:
    """A table of every type, shared by the tests that only read."""
    return shared_tables(way)


@pytest.fixture
def bucket(way: Way) -> Iterator[storage.Bucket]:
    """A bucket of this test's own."""
    objects = storage.Client(project=way.project)
    made = objects.create_bucket(f"conformance-{uuid4().hex[:12]}")
    yield made
    for blob in list(made.list_blobs()):
        blob.delete()
    made.delete()


@pytest.fixture
def options(way: Way, bucket: storage.Bucket) -> PipelineOptions:
    """Options of a pipeline in this process, by the runner that looks for no other one."""
    return PipelineOptions(
        [], runner="FnApiRunner", project=way.project, temp_location=f"gs://{bucket.name}/temp"
    )
