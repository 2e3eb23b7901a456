"""The Pub/Sub emulator as a child process, and Google's clients for it."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.types import PublisherOptions

from tf_dataflow_serving.services.process import ServiceProcess

MODULE = "tf_dataflow_serving.services.pubsub"


def start_emulator(directory: Path, *arguments: str) -> ServiceProcess:
    return ServiceProcess.start("pubsub", MODULE, arguments, directory / "pubsub.log", os.environ)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts emulators with flags of the test's own; all have ended when it has."""
    with ExitStack() as cleanup:

        def start(*arguments: str) -> ServiceProcess:
            process = start_emulator(tmp_path, *arguments)
            cleanup.callback(process.stop)
            return process

        yield start


@dataclass(frozen=True)
class Clients:
    """Google's clients of one emulator, on a connection of their own."""

    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One for each module: some move its clock, which is the clock of all its clients."""
    process = start_emulator(tmp_path_factory.mktemp("pubsub"), "--port", "0")
    try:
        yield process
        process.raise_if_dead()
    finally:
        process.stop()


@pytest.fixture(scope="module")
def address(emulator: ServiceProcess) -> str:
    return f"127.0.0.1:{emulator.ports['grpc']}"


@pytest.fixture
def connect(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Clients]]:
    """Makes clients as users do, by PUBSUB_EMULATOR_HOST; takes the publisher's options."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
    made: list[Clients] = []

    def new(**options: bool) -> Clients:
        publisher = pubsub_v1.PublisherClient(publisher_options=PublisherOptions(**options))
        made.append(Clients(publisher, pubsub_v1.SubscriberClient()))
        return made[-1]

    yield new
    for clients in made:
        clients.publisher.stop()
        clients.publisher.transport.close()
        clients.subscriber.close()


@pytest.fixture
def clients(connect: Callable[..., Clients]) -> Clients:
    return connect()


@pytest.fixture
def publisher(clients: Clients) -> pubsub_v1.PublisherClient:
    return clients.publisher


@pytest.fixture
def subscriber(clients: Clients) -> pubsub_v1.SubscriberClient:
    return clients.subscriber


@pytest.fixture
def project() -> str:
    """A project that nobody else changes."""
    return f"projects/p-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(publisher: pubsub_v1.PublisherClient, project: str) -> str:
    return publisher.create_topic(name=f"{project}/topics/top").name


@pytest.fixture
def subscription(subscriber: pubsub_v1.SubscriberClient, topic: str, project: str) -> str:
    name = f"{project}/subscriptions/sub"
    return subscriber.create_subscription(name=name, topic=topic).name


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    """A bare connection, for what the clients do not let one do."""
    with grpc.insecure_channel(address) as opened:
        yield opened
