"""Streaming pull by Google's own client, and by a bare stream for the protocol's rules."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1.types import FlowControl
from google.pubsub_v1 import types

WAIT_SECONDS = 30.0


def publish(publisher, topic, *texts: str) -> None:
    for future in [publisher.publish(topic, text.encode()) for text in texts]:
        future.result(WAIT_SECONDS)


class Inbox:
    """A callback that keeps the messages that it gets."""

    def __init__(self) -> None:
        self._messages: queue.Queue = queue.Queue()

    def __call__(self, message) -> None:
        self._messages.put(message)

    def next(self):
        return self._messages.get(timeout=WAIT_SECONDS)

    def empty(self) -> bool:
        return self._messages.empty()


@contextmanager
def streaming(subscriber, subscription, callback, **limits) -> Iterator:
    future = subscriber.subscribe(subscription, callback, flow_control=FlowControl(**limits))
    try:
        yield future
    finally:
        future.cancel()
        future.result(WAIT_SECONDS)


def test_a_stream_receives_what_was_and_what_is_published(
    publisher, subscriber, topic, subscription
):
    inbox = Inbox()
    publish(publisher, topic, "before")
    with streaming(subscriber, subscription, inbox) as future:
        first = inbox.next()
        first.ack()
        publish(publisher, topic, "after")
        second = inbox.next()
        second.ack()
        assert (first.data, second.data) == (b"before", b"after")
        assert future.running()
    assert future.done()
    assert inbox.empty()


def test_thousands_of_messages_stream_once_each(publisher, subscriber, topic, subscription):
    sent = {str(number).encode() for number in range(5000)}
    inbox = Inbox()
    with streaming(subscriber, subscription, inbox):
        publish(publisher, topic, *(text.decode() for text in sent))
        found = []
        for _ in sent:
            message = inbox.next()
            message.ack()
            found.append(message.data)
    assert len(found) == len(sent) == len(set(found))
    assert set(found) == sent


def test_a_message_given_back_comes_again(publisher, subscriber, topic, subscription):
    inbox = Inbox()
    with streaming(subscriber, subscription, inbox):
        publish(publisher, topic, "a")
        first = inbox.next()
        first.nack()
        second = inbox.next()
        assert (second.message_id, second.ack_id != first.ack_id) == (first.message_id, True)
        second.ack()


def test_streams_of_a_subscription_share_its_messages_without_repeating(
    connect, publisher, topic, subscription
):
    first, second = Inbox(), Inbox()
    limit = 250
    publish(publisher, topic, *(str(number) for number in range(2 * limit)))
    with (
        streaming(connect().subscriber, subscription, first, max_messages=limit),
        streaming(connect().subscriber, subscription, second, max_messages=limit),
    ):
        found = [inbox.next() for inbox in (first, second) for _ in range(limit)]
        for message in found:
            message.ack()
    assert len({message.data for message in found}) == 2 * limit


def test_a_stream_of_a_subscription_that_is_not_there_ends_with_not_found(subscriber, project):
    future = subscriber.subscribe(f"{project}/subscriptions/none", Inbox())
    with pytest.raises(exceptions.NotFound):
        future.result(WAIT_SECONDS)


def test_deleting_a_subscription_ends_its_streams(publisher, subscriber, topic, subscription):
    inbox = Inbox()
    future = subscriber.subscribe(subscription, inbox)
    publish(publisher, topic, "a")
    inbox.next().ack()
    subscriber.delete_subscription(subscription=subscription)
    with pytest.raises(exceptions.NotFound):
        future.result(WAIT_SECONDS)


class Stream:
    """A bare StreamingPull call: requests go out and responses come in one by one."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        method = channel.stream_stream(
            "/google.pubsub.v1.Subscriber/StreamingPull",
            request_serializer=types.StreamingPullRequest.serialize,
            response_deserializer=types.StreamingPullResponse.deserialize,
        )
        self.call = method(iter(self._requests.get, None), timeout=WAIT_SECONDS)

    def send(self, **fields) -> None:
        self._requests.put(types.StreamingPullRequest(**fields))

    def half_close(self) -> None:
        self._requests.put(None)

    def receive(self) -> list:
        return list(next(self.call).received_messages)


@pytest.fixture
def stream(channel: grpc.Channel) -> Iterator[Stream]:
    opened = Stream(channel)
    yield opened
    opened.half_close()
    opened.call.cancel()


def texts(received) -> list[bytes]:
    return [one.message.data for one in received]


def test_a_full_stream_gets_more_as_it_acknowledges(stream, publisher, topic, subscription):
    publish(publisher, topic, *"abc")
    stream.send(
        subscription=subscription, stream_ack_deadline_seconds=10, max_outstanding_messages=2
    )
    held: list = []
    while len(held) < 2:
        held += stream.receive()
    assert len(held) == 2
    stream.send(ack_ids=[held[0].ack_id])
    assert len(stream.receive()) == 1


def test_a_stream_gives_back_and_extends(stream, publisher, topic, subscription):
    publish(publisher, topic, "a")
    stream.send(subscription=subscription, stream_ack_deadline_seconds=10)
    (first,) = stream.receive()
    stream.send(modify_deadline_ack_ids=[first.ack_id], modify_deadline_seconds=[0])
    (second,) = stream.receive()
    stream.send(modify_deadline_ack_ids=[second.ack_id], modify_deadline_seconds=[1])
    (third,) = stream.receive()
    assert texts([first, second, third]) == [b"a"] * 3


def test_a_stream_of_the_newer_protocol_answers_pings(stream, subscription):
    stream.send(subscription=subscription, stream_ack_deadline_seconds=10, protocol_version=1)
    stream.send()
    answer = next(stream.call)
    assert not answer.received_messages
    assert "subscription_properties" in answer


def test_a_stream_of_the_older_protocol_does_not(stream, publisher, topic, subscription):
    stream.send(subscription=subscription, stream_ack_deadline_seconds=10)
    stream.send()
    publish(publisher, topic, "a")
    assert texts(stream.receive()) == [b"a"]


def test_a_stream_that_the_client_closes_ends_well(stream, publisher, topic, subscription):
    publish(publisher, topic, "a")
    stream.send(subscription=subscription, stream_ack_deadline_seconds=10)
    stream.receive()
    stream.half_close()
    assert list(stream.call) == []
    assert stream.call.code() == grpc.StatusCode.OK


def test_a_stream_without_a_request_ends_well(stream):
    stream.half_close()
    assert list(stream.call) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stream_ack_deadline_seconds": 9}, "INVALID_ARGUMENT"),
        ({"stream_ack_deadline_seconds": 0}, "INVALID_ARGUMENT"),
        ({"subscription": "nonsense"}, "INVALID_ARGUMENT"),
        ({"subscription": "projects/p/subscriptions/none"}, "NOT_FOUND"),
        ({"ack_ids": ["nonsense"]}, "INVALID_ARGUMENT"),
        ({"modify_deadline_seconds": [10]}, "INVALID_ARGUMENT"),
    ],
)
def test_a_stream_that_opens_badly_is_refused(stream, subscription, change, code):
    opening = {"subscription": subscription, "stream_ack_deadline_seconds": 10}
    stream.send(**{**opening, **change})
    with pytest.raises(grpc.RpcError) as refused:
        stream.receive()
    assert refused.value.code() == grpc.StatusCode[code]


@pytest.mark.parametrize(
    "fields",
    [
        {"subscription": "projects/p/subscriptions/sub"},
        {"max_outstanding_messages": 5},
        {"max_outstanding_bytes": 5},
        {"stream_ack_deadline_seconds": 601},
        {"ack_ids": ["nonsense"]},
    ],
)
def test_a_stream_that_goes_on_badly_is_refused(stream, subscription, fields):
    stream.send(subscription=subscription, stream_ack_deadline_seconds=10)
    stream.send(**fields)
    with pytest.raises(grpc.RpcError) as refused:
        stream.receive()
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
