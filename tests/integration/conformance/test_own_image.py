"""The image of our own services, and the one that stands in for Google's Pub/Sub emulator.

`make images` makes them. On them real clients, through ports that are published on loopback.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import docker
import grpc
import httpx
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, pubsub_v1, storage
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
    BigQueryReadGrpcTransport,
)

from tf_dataflow_serving.services.containers.engine import OWNER_LABEL
from tf_dataflow_serving.services.containers.images import Images
from tf_dataflow_serving.services.listening import FIXED_PORTS, Port

from .conftest import skip_unless_asked_for

pytestmark = pytest.mark.timeout(400)
OWN = "tf-dataflow-serving:latest"
STAND_IN = "tf-dataflow-serving.stand-in"
PROJECT = "local-project"
STOP_SECONDS = 60
SIGNALLED = 128


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    skip_unless_asked_for()
    client = docker.from_env(timeout=STOP_SECONDS * 2)
    yield client
    client.close()


@contextmanager
def running(
    engine: docker.DockerClient, image: str, ports: Sequence[int], ready: str, *command: str
) -> Iterator[Any]:
    """A container, from when its log says that it is ready; it is removed in any case."""
    container = engine.containers.create(
        image,
        list(command) or None,
        ports={f"{port}/tcp": ("127.0.0.1", None) for port in ports},
        labels={OWNER_LABEL: str(os.getpid())},
    )
    try:
        container.start()
        wait_for(container, ready)
        yield container
    finally:
        container.remove(force=True, v=True)


def wait_for(container: Any, words: str, times: int = 1) -> None:
    """Return when the log has said these words as often."""
    printed = b""
    for part in container.logs(stream=True, follow=True):
        printed += part
        if printed.count(words.encode()) >= times:
            container.reload()
            return
    raise AssertionError(f"{container.image} ended:\n{printed.decode(errors='replace')}")


def address(container: Any, port: int) -> str:
    """The host:port where a port is published."""
    (published, *_) = container.ports[f"{port}/tcp"]
    return f"127.0.0.1:{published['HostPort']}"


@pytest.fixture
def own(engine: docker.DockerClient) -> Iterator[Any]:
    with running(engine, OWN, list(FIXED_PORTS.values()), "# Ready") as container:
        yield container


def ended_by_sigterm(container: Any) -> bool:
    """Stop it; tell whether it ended by itself (the engine kills what does not)."""
    container.stop(timeout=STOP_SECONDS)
    code: int = container.wait(timeout=STOP_SECONDS)["StatusCode"]
    return code == SIGNALLED + signal.SIGTERM


def check_pubsub(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", place)
    topic, subscription = f"projects/{PROJECT}/topics/top", f"projects/{PROJECT}/subscriptions/sub"
    with pubsub_v1.SubscriberClient() as subscriber:
        publisher = pubsub_v1.PublisherClient()
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
        publisher.publish(topic, b"hello").result(30)
        pulled = subscriber.pull(subscription=subscription, max_messages=1)
        assert [message.message.data for message in pulled.received_messages] == [b"hello"]
        publisher.stop()


def check_bigquery(url: str, storage_api: str) -> None:
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options=_at(url)) as client:
        natality = "SELECT COUNT(*) FROM samples.natality"
        assert next(iter(client.query_and_wait(natality)))[0] >= 20_000
        client.create_dataset("made")
        rows = [{"number": number} for number in range(3)]
        client.load_table_from_json(rows, "made.numbers").result(60)
        with grpc.insecure_channel(storage_api) as channel:
            reader = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
            read = client.list_rows("made.numbers").to_arrow(bqstorage_client=reader)
        assert sorted(read["number"].to_pylist()) == [0, 1, 2]


def check_storage(url: str) -> None:
    client = storage.Client(PROJECT, AnonymousCredentials(), client_options=_at(url))
    blob = client.create_bucket("made").blob("name", chunk_size=256 * 1024)
    content = os.urandom(600_000)
    # In chunks: each goes to the address that the service named for this upload.
    blob.upload_from_string(content)
    assert blob.download_as_bytes() == content


def check_prediction(url: str) -> None:
    model = httpx.get(f"{url}/v1/projects/{PROJECT}/models/babyweight_estimator", timeout=30)
    assert model.json()["name"].endswith("babyweight_estimator"), model.text


def _at(url: str) -> ClientOptions:
    return ClientOptions(api_endpoint=url)


def test_real_clients_work_with_the_services_of_the_image(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {name: address(own, FIXED_PORTS[name]) for name in Port}
    check_pubsub(place[Port.PUBSUB], monkeypatch)
    check_bigquery(f"http://{place[Port.BIGQUERY]}", place[Port.BIGQUERY_STORAGE])
    check_storage(f"http://{place[Port.STORAGE]}")
    check_prediction(f"http://{place[Port.PREDICTION]}")
    # The image's health check.
    assert own.exec_run(["dataflow-serving", "services", "env"]).exit_code == 0
    assert own.exec_run(["id", "-un"]).output.strip() != b"root"


def test_it_ends_at_sigterm(own: Any) -> None:
    assert ended_by_sigterm(own)


def test_it_starts_again_after_it_was_killed(own: Any) -> None:
    own.kill()
    ended = own.wait(timeout=STOP_SECONDS)
    assert ended["StatusCode"] == SIGNALLED + signal.SIGKILL
    own.start()
    wait_for(own, "# Ready", times=2)
    assert own.exec_run(["dataflow-serving", "services", "env"]).exit_code == 0


def test_one_service_alone(engine: docker.DockerClient) -> None:
    command = ("--only", "storage", "--port", "4443")
    with running(engine, OWN, [4443], "# Ready", *command) as container:
        check_storage(f"http://{address(container, 4443)}")
        assert ended_by_sigterm(container)


def test_the_pubsub_image_takes_the_official_command_line(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Images().pubsub
    where = ("--host-port=0.0.0.0:8085", f"--project={PROJECT}")
    command = ("gcloud", "beta", "emulators", "pubsub", "start", *where)
    with running(engine, image, [8085], "Server started, listening on 8085", *command) as container:
        check_pubsub(address(container, 8085), monkeypatch)
        if STAND_IN in container.image.labels:
            first, *_ = container.logs().decode().splitlines()
            assert "stand-in" in first
            assert ended_by_sigterm(container)
