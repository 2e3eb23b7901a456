"""The emulator as a child process, and Google's clients for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from google import pubsub_v1 as calls
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.types import BatchSettings

from tf_dataflow_serving.services.process import ServiceProcess
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl

MODULE = "tf_dataflow_serving.services.pubsub"
TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"
# What a request and a response may hold (limits.py): 1,000 messages of 1 KB.
AT_ONCE = 1_000
LONGEST_DEADLINE_SECONDS = 600
WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Pair:
    """An emulator and the clients under which it is measured."""

    process: ServiceProcess
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient

    def subscribe(self, topic: str, *subscriptions: str) -> None:
        """Make a topic and subscriptions to it, with leases that outlast a measurement."""
        self.publisher.create_topic(name=topic)
        for name in subscriptions:
            self.subscriber.create_subscription(
                name=name, topic=topic, ack_deadline_seconds=LONGEST_DEADLINE_SECONDS
            )

    def publish(self, topic: str, data: bytes, count: int) -> None:
        """Publish so many messages in large requests, past the publisher's own batches."""
        for start in range(0, count, AT_ONCE):
            messages = [calls.PubsubMessage(data=data)] * min(AT_ONCE, count - start)
            request = calls.PublishRequest(topic=topic, messages=messages)
            calls.PublisherClient.publish(self.publisher, request, timeout=WAIT_SECONDS)

    def lease(self, subscription: str, count: int) -> list[str]:
        """Pull so many messages; returns their ack IDs."""
        ack_ids: list[str] = []
        while len(ack_ids) < count:
            response = self.subscriber.pull(
                subscription=subscription,
                max_messages=min(AT_ONCE, count - len(ack_ids)),
                timeout=WAIT_SECONDS,
            )
            assert response.received_messages
            ack_ids += [received.ack_id for received in response.received_messages]
        return ack_ids

    def settle(self, subscription: str, count: int) -> None:
        """Pull and acknowledge so many messages."""
        ack_ids = self.lease(subscription, count)
        self.subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)


@pytest.fixture
def new_pair(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Pair]]:
    """Makes pairs, by the emulator's flags."""
    with ExitStack() as cleanup:

        def start(*flags: str) -> Pair:
            log = tmp_path_factory.mktemp("pubsub") / "log"
            process = ServiceProcess.start("pubsub", MODULE, flags, log, os.environ)
            cleanup.callback(process.stop)
            monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{process.ports['grpc']}")
            # The client sends a batch when the message that would make it this large arrives.
            publisher = pubsub_v1.PublisherClient(batch_settings=BatchSettings(max_messages=101))
            cleanup.callback(publisher.transport.close)
            subscriber = cleanup.enter_context(pubsub_v1.SubscriberClient())
            made = Pair(process, publisher, subscriber)
            made.subscribe(TOPIC, SUBSCRIPTION)
            return made

        yield start


@pytest.fixture
def pair(new_pair: Callable[..., Pair]) -> Pair:
    return new_pair()


@pytest.fixture
def control(pair: Pair) -> Iterator[PubSubControl]:
    with PubSubControl(f"http://127.0.0.1:{pair.process.ports['http']}") as opened:
        yield opened
