"""The emulator as a child process, and Google's clients for it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.types import BatchSettings

from tf_dataflow_serving.services.process import ServiceProcess

TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"


@dataclass(frozen=True)
class Pair:
    """An emulator and the clients under which it is measured."""

    process: ServiceProcess
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient


@pytest.fixture
def pair(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pair]:
    log = tmp_path_factory.mktemp("pubsub") / "log"
    module = "tf_dataflow_serving.services.pubsub"
    process = ServiceProcess.start("pubsub", module, ["--port", "0"], log, os.environ)
    try:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{process.ports['grpc']}")
        # The client sends a batch when the message that would make it this large arrives.
        batches = BatchSettings(max_messages=101)
        publisher = pubsub_v1.PublisherClient(batch_settings=batches)
        with pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=TOPIC)
            subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
            yield Pair(process, publisher, subscriber)
        publisher.transport.close()
    finally:
        process.stop()
