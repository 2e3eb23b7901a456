"""A publisher that knows what it published."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, islice

import grpc
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import DeadLetterPolicy, PublishRequest, PubsubMessage, Subscription

from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.natality.instance import SAMPLE, Instance
from tf_dataflow_serving.natality.messages import encode

RPC_TIMEOUT_SECONDS = 30.0
FIRST_ID = 1_000
SEED = 11
GENERATED = 500
# The least that Pub/Sub allows (DeadLetterPolicy.max_delivery_attempts).
MOST_ATTEMPTS = 5

Spoil = Callable[[Instance, int], bytes | None]
"""Returns the data of a message that cannot be estimated, None to leave it as it is."""


def all_valid(_instance: Instance, _source_id: int) -> bytes | None:
    return None


def broken_now_and_then(instance: Instance, source_id: int) -> bytes | None:
    """Spoil every 25th message, in three ways by turns."""
    turn, rest = divmod(source_id, 25)
    if rest:
        return None
    data, _ = encode(instance, source_id, datetime.now(UTC))
    broken = (
        data.replace(b'"gestation_weeks":', b'"gestation_weeks":-'),
        data.replace(b'"mother_race":', b'"no_race":'),
        data[:-1],
    )
    return broken[turn % len(broken)]


class Feed:
    """Publishes numbered messages to one topic; `published` has the numbers that were taken."""

    def __init__(self, pubsub: str, topic: str, spoil: Spoil = all_valid) -> None:
        self.published: list[int] = []
        self._pubsub = pubsub
        self._topic = topic
        self._spoil = spoil
        self._ids = count(FIRST_ID)
        self._instances = _endless()

    def publish(self, number: int) -> Sequence[int]:
        """Publish so many messages in one request; returns their ids once they are taken."""
        ids = list(islice(self._ids, number))
        messages = [self._message(source_id) for source_id in ids]
        with publisher(self._pubsub) as client:
            client.publish(
                PublishRequest(topic=self._topic, messages=messages),
                retry=None,
                timeout=RPC_TIMEOUT_SECONDS,
            )
        self.published += ids
        return ids

    def _message(self, source_id: int) -> PubsubMessage:
        instance = next(self._instances)
        data, attributes = encode(instance, source_id, datetime.now(UTC))
        spoilt = self._spoil(instance, source_id)
        return PubsubMessage(data=data if spoilt is None else spoilt, attributes=attributes)


def _endless() -> Iterator[Instance]:
    generated = list(instances(GENERATED, SEED)) or [SAMPLE]
    while True:
        yield from generated


# Each use has a channel of its own: one that saw its service die would wait before it looks again.


def publisher(pubsub: str) -> PublisherClient:
    """Return a client, to be left, of the service at host:port."""
    return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(pubsub)))


def subscriber(pubsub: str) -> SubscriberClient:
    """Return a client, to be left, of the service at host:port."""
    channel = grpc.insecure_channel(pubsub)
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def make_topic(pubsub: str, topic: str) -> None:
    """Make a topic by its full name."""
    with publisher(pubsub) as client:
        client.create_topic(name=topic, retry=None, timeout=RPC_TIMEOUT_SECONDS)


def make_subscription(pubsub: str, path: str, topic: str, dead: str | None = None) -> None:
    """Make a subscription; what it can give to nobody goes to the topic `dead`, if there is one."""
    policy = DeadLetterPolicy(dead_letter_topic=dead, max_delivery_attempts=MOST_ATTEMPTS)
    wanted = Subscription(
        name=path,
        topic=topic,
        ack_deadline_seconds=10,
        dead_letter_policy=policy if dead else None,
    )
    with subscriber(pubsub) as client:
        client.create_subscription(wanted, retry=None, timeout=RPC_TIMEOUT_SECONDS)


def subscriptions(pubsub: str, topic: str) -> list[str]:
    """Return the names of a topic's subscriptions."""
    with publisher(pubsub) as client:
        pager = client.list_topic_subscriptions(
            topic=topic, retry=None, timeout=RPC_TIMEOUT_SECONDS
        )
        return list(pager)
