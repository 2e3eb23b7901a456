"""google-cloud-pubsub: publish, pull, streaming pull, ordering, subscription settings."""

import queue
from collections.abc import Iterator
from uuid import uuid4

import pytest
from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud import pubsub_v1
from google.protobuf import duration_pb2

WAIT_SECONDS = 60.0


@pytest.fixture
def publisher(way: object) -> Iterator[pubsub_v1.PublisherClient]:
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    made = pubsub_v1.PublisherClient(publisher_options=options)
    yield made
    made.stop()


@pytest.fixture
def subscriber(way: object) -> Iterator[pubsub_v1.SubscriberClient]:
    with pubsub_v1.SubscriberClient() as made:
        yield made


@pytest.fixture
def topic(way, publisher: pubsub_v1.PublisherClient) -> Iterator[str]:
    name = publisher.topic_path(way.project, f"conformance-{uuid4().hex[:12]}")
    publisher.create_topic(name=name)
    yield name
    publisher.delete_topic(topic=name)


@pytest.fixture
def subscription(way, subscriber: pubsub_v1.SubscriberClient, topic: str) -> Iterator[str]:
    """An ordered subscription with settings of its own."""
    name = subscriber.subscription_path(way.project, f"conformance-{uuid4().hex[:12]}")
    settings = {
        "name": name,
        "topic": topic,
        "ack_deadline_seconds": 37,
        "enable_message_ordering": True,
        "retain_acked_messages": True,
        "message_retention_duration": duration_pb2.Duration(seconds=3600),
        "labels": {"team": "a"},
        "filter": 'attributes.kind != "skip"',
    }
    subscriber.create_subscription(request=settings)
    yield name
    subscriber.delete_subscription(subscription=name)


def publish(publisher: pubsub_v1.PublisherClient, topic: str, text: str, **extra: str) -> str:
    return str(publisher.publish(topic, text.encode(), **extra).result(WAIT_SECONDS))


def pulled(subscriber: pubsub_v1.SubscriberClient, subscription: str, count: int) -> list:
    """The next messages, which are then acknowledged."""
    found: list = []
    while len(found) < count:
        answer = subscriber.pull(
            subscription=subscription, max_messages=count - len(found), timeout=WAIT_SECONDS
        )
        if answer.received_messages:
            acks = [received.ack_id for received in answer.received_messages]
            subscriber.acknowledge(subscription=subscription, ack_ids=acks)
            found += [received.message for received in answer.received_messages]
    return found


def test_messages_arrive_with_their_attributes(publisher, subscriber, topic, subscription) -> None:
    sent = publish(publisher, topic, "Zoë", kind="own", empty="")
    (message,) = pulled(subscriber, subscription, 1)
    assert message.message_id == sent
    assert message.data.decode() == "Zoë"
    assert dict(message.attributes) == {"kind": "own", "empty": ""}
    assert message.publish_time is not None


def test_a_message_that_is_given_back_comes_again(
    publisher, subscriber, topic, subscription
) -> None:
    publish(publisher, topic, "again")
    answer = subscriber.pull(subscription=subscription, max_messages=1, timeout=WAIT_SECONDS)
    (received,) = answer.received_messages
    subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[received.ack_id], ack_deadline_seconds=0
    )
    (message,) = pulled(subscriber, subscription, 1)
    assert message.message_id == received.message.message_id


def test_ordering_keys_keep_their_order(publisher, subscriber, topic, subscription) -> None:
    for number in range(20):
        publish(publisher, topic, str(number), ordering_key=f"key-{number % 2}")
    found = pulled(subscriber, subscription, 20)
    for key in ("key-0", "key-1"):
        mine = [int(message.data) for message in found if message.ordering_key == key]
        assert mine == sorted(mine)
        assert len(mine) == 10


def test_a_filter_leaves_messages_out(publisher, subscriber, topic, subscription) -> None:
    publish(publisher, topic, "not this", kind="skip")
    publish(publisher, topic, "this")
    (message,) = pulled(subscriber, subscription, 1)
    assert message.data == b"this"


def test_streaming_pull_receives_every_message_once(
    publisher, subscriber, topic, subscription
) -> None:
    inbox: queue.Queue = queue.Queue()
    future = subscriber.subscribe(subscription, inbox.put)
    try:
        sent = {publish(publisher, topic, str(number)) for number in range(100)}
        found = []
        for _ in sent:
            message = inbox.get(timeout=WAIT_SECONDS)
            message.ack_with_response().result(WAIT_SECONDS)
            found.append(message.message_id)
    finally:
        future.cancel()
        future.result(WAIT_SECONDS)
    assert len(found) == len(sent)
    assert set(found) == sent


def test_a_subscription_keeps_its_settings(subscriber, topic, subscription) -> None:
    found = subscriber.get_subscription(subscription=subscription)
    assert (found.topic, found.ack_deadline_seconds) == (topic, 37)
    assert found.enable_message_ordering
    assert found.retain_acked_messages
    assert found.message_retention_duration.total_seconds() == 3600
    assert dict(found.labels) == {"team": "a"}
    assert found.filter == 'attributes.kind != "skip"'


def test_names_are_taken_once_and_must_exist(publisher, subscriber, topic) -> None:
    with pytest.raises(AlreadyExists):
        publisher.create_topic(name=topic)
    with pytest.raises(NotFound):
        publisher.get_topic(topic=f"{topic}-missing")
    with pytest.raises(NotFound):
        subscriber.create_subscription(
            name=f"{topic}-s".replace("/topics/", "/subscriptions/"), topic=f"{topic}-missing"
        )
