"""Seeks, snapshots, dead letters and exactly-once delivery through Google's clients."""

import queue
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeError, AcknowledgeStatus
from google.pubsub_v1 import types

WAIT_SECONDS = 30.0

# The flag spares an empty pull its wait; the service takes it as ever.
pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag")


def pull(subscriber, subscription: str, limit: int = 10) -> list:
    response = subscriber.pull(
        subscription=subscription, max_messages=limit, timeout=WAIT_SECONDS, return_immediately=True
    )
    return list(response.received_messages)


def texts(received) -> list[bytes]:
    return [one.message.data for one in received]


def publish(publisher, topic: str, *data: bytes) -> None:
    for text in data:
        publisher.publish(topic, text).result(WAIT_SECONDS)


def acknowledge(subscriber, subscription: str, received) -> None:
    subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])


def nack(subscriber, subscription: str, received) -> None:
    subscriber.modify_ack_deadline(
        subscription=subscription,
        ack_ids=[one.ack_id for one in received],
        ack_deadline_seconds=0,
    )


def subscribe(subscriber, project: str, topic: str, **settings) -> str:
    name = f"{project}/subscriptions/set"
    request = {"name": name, "topic": topic, **settings}
    return subscriber.create_subscription(request=request).name


def test_a_seek_to_a_time_replays_and_purges(publisher, subscriber, project, topic):
    name = subscribe(subscriber, project, topic, retain_acked_messages=True)
    publish(publisher, topic, b"a", b"b")
    received = pull(subscriber, name)
    acknowledge(subscriber, name, received)
    time = received[1].message.publish_time
    subscriber.seek(request={"subscription": name, "time": time})
    assert texts(pull(subscriber, name)) == [b"b"]
    later = datetime.now(UTC) + timedelta(hours=1)
    subscriber.seek(request={"subscription": name, "time": later})
    assert pull(subscriber, name) == []


def test_a_snapshot_is_made_listed_changed_sought_and_deleted(
    publisher, subscriber, project, topic, subscription
):
    publish(publisher, topic, b"a")
    name = f"{project}/snapshots/snap"
    request = {"name": name, "subscription": subscription, "labels": {"a": "b"}}
    made = subscriber.create_snapshot(request=request)
    assert (made.name, made.topic, dict(made.labels)) == (name, topic, {"a": "b"})
    assert timedelta(days=6, hours=23) < made.expire_time - datetime.now(UTC) <= timedelta(days=7)
    assert subscriber.get_snapshot(snapshot=name) == made
    assert list(subscriber.list_snapshots(project=project)) == [made]
    assert list(publisher.list_topic_snapshots(topic=topic)) == [name]
    made.labels["a"] = "c"
    request = {"snapshot": made, "update_mask": {"paths": ["labels"]}}
    assert subscriber.update_snapshot(request=request).labels == {"a": "c"}
    acknowledge(subscriber, subscription, pull(subscriber, subscription))
    subscriber.seek(request={"subscription": subscription, "snapshot": name})
    assert texts(pull(subscriber, subscription)) == [b"a"]
    subscriber.delete_snapshot(snapshot=name)
    with pytest.raises(exceptions.NotFound):
        subscriber.get_snapshot(snapshot=name)


def test_a_snapshot_without_a_name_is_given_one(subscriber, project, subscription):
    made = subscriber.create_snapshot(request={"subscription": subscription})
    assert made.name.startswith(f"{project}/snapshots/")
    assert subscriber.get_snapshot(snapshot=made.name) == made


def test_settings_are_shown_as_they_were_given_and_changed_by_their_mask(
    publisher, subscriber, project, topic
):
    publisher.update_topic(
        request={
            "topic": {"name": topic, "message_retention_duration": timedelta(hours=1)},
            "update_mask": {"paths": ["message_retention_duration"]},
        }
    )
    name = subscribe(
        subscriber,
        project,
        topic,
        message_retention_duration=timedelta(minutes=20),
        expiration_policy={"ttl": timedelta(days=2)},
        retry_policy={"minimum_backoff": timedelta(seconds=1)},
        dead_letter_policy={"dead_letter_topic": topic, "max_delivery_attempts": 6},
        enable_exactly_once_delivery=True,
    )
    made = subscriber.get_subscription(subscription=name)
    assert made.message_retention_duration == timedelta(minutes=20)
    assert made.topic_message_retention_duration == timedelta(hours=1)
    assert made.expiration_policy.ttl == timedelta(days=2)
    assert made.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert made.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert made.dead_letter_policy.max_delivery_attempts == 6
    assert made.enable_exactly_once_delivery
    cleared = {"name": name, "message_retention_duration": timedelta(minutes=30)}
    paths = ["dead_letter_policy", "retry_policy", "message_retention_duration"]
    changed = subscriber.update_subscription(
        request={"subscription": cleared, "update_mask": {"paths": paths}}
    )
    assert not changed.dead_letter_policy.dead_letter_topic
    assert "retry_policy" not in changed
    assert changed.message_retention_duration == timedelta(minutes=30)
    assert changed.expiration_policy.ttl == timedelta(days=2)


def test_a_dead_letter_arrives_after_its_last_attempt(publisher, subscriber, project, topic):
    dead = publisher.create_topic(name=f"{project}/topics/dead").name
    letters = f"{project}/subscriptions/letters"
    subscriber.create_subscription(name=letters, topic=dead)
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    name = subscribe(subscriber, project, topic, dead_letter_policy=policy)
    publish(publisher, topic, b"poison")
    attempts = []
    for _ in range(5):
        received = pull(subscriber, name)
        attempts += [one.delivery_attempt for one in received]
        nack(subscriber, name, received)
    assert attempts == [1, 2, 3, 4, 5]
    (letter,) = pull(subscriber, letters)
    assert letter.message.data == b"poison"
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert pull(subscriber, name) == []


def test_exactly_once_an_expired_ack_id_is_invalid_argument_with_its_reason(
    publisher, subscriber, project, topic
):
    name = subscribe(subscriber, project, topic, enable_exactly_once_delivery=True)
    publish(publisher, topic, b"a")
    received = pull(subscriber, name)
    nack(subscriber, name, received)
    with pytest.raises(exceptions.InvalidArgument, match="acknowledgement ids") as refused:
        acknowledge(subscriber, name, received)
    assert refused.value.reason == "EXACTLY_ONCE_ACKID_FAILURE"
    assert refused.value.metadata == {received[0].ack_id: "PERMANENT_FAILURE_INVALID_ACK_ID"}


def test_exactly_once_the_client_learns_what_became_of_its_acknowledgement(
    publisher, subscriber, project, topic
):
    name = subscribe(subscriber, project, topic, enable_exactly_once_delivery=True)
    publish(publisher, topic, b"a")
    arrived: queue.SimpleQueue = queue.SimpleQueue()
    streaming = subscriber.subscribe(name, arrived.put)
    try:
        message = arrived.get(timeout=WAIT_SECONDS)
        assert message.ack_with_response().result(WAIT_SECONDS) == AcknowledgeStatus.SUCCESS
        with pytest.raises(AcknowledgeError) as refused:
            message.ack_with_response().result(WAIT_SECONDS)
        assert refused.value.error_code == AcknowledgeStatus.INVALID_ACK_ID
    finally:
        streaming.cancel()
        streaming.result(WAIT_SECONDS)


def test_exactly_once_a_stream_confirms_what_came_over_it(
    publisher, subscriber, project, topic, channel: grpc.Channel
):
    name = subscribe(subscriber, project, topic, enable_exactly_once_delivery=True)
    publish(publisher, topic, b"a")
    requests: queue.SimpleQueue = queue.SimpleQueue()
    stream = channel.stream_stream(
        "/google.pubsub.v1.Subscriber/StreamingPull",
        request_serializer=types.StreamingPullRequest.serialize,
        response_deserializer=types.StreamingPullResponse.deserialize,
    )
    requests.put(types.StreamingPullRequest(subscription=name, stream_ack_deadline_seconds=60))
    responses = stream(iter(requests.get, None), timeout=WAIT_SECONDS)
    first = next(responses)
    assert first.subscription_properties.exactly_once_delivery_enabled
    (ack_id,) = [one.ack_id for one in first.received_messages]
    extension = {"modify_deadline_ack_ids": [ack_id], "modify_deadline_seconds": [30]}
    requests.put(types.StreamingPullRequest(extension))
    assert next(responses).modify_ack_deadline_confirmation.ack_ids == [ack_id]
    requests.put(types.StreamingPullRequest(ack_ids=[ack_id]))
    assert next(responses).acknowledge_confirmation.ack_ids == [ack_id]
    requests.put(types.StreamingPullRequest(ack_ids=[ack_id]))
    assert next(responses).acknowledge_confirmation.invalid_ack_ids == [ack_id]
    requests.put(None)
