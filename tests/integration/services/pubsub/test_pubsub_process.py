"""The emulator as a process: its port, its end, and clients that misbehave."""

import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.pubsub_v1 import types

from tf_dataflow_serving.services.process import ServiceFailed
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl

MODULE = "tf_dataflow_serving.services.pubsub"
WAIT_SECONDS = 30.0
P = "projects/p"
# Beyond what both sides of a connection on this machine take before anybody reads.
LARGE_BYTES = 3_000_000
LARGE_MESSAGES = 8
# Google's client leases for less, unless told otherwise.
LONGEST_LEASE_SECONDS = 601
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"

VANISH = """
import sys, threading
from google.cloud import pubsub_v1
subscriber = pubsub_v1.SubscriberClient()
def hold(message):
    sys.stdout.write(message.message_id + "\\n")
    sys.stdout.flush()
    threading.Event().wait()
subscriber.subscribe(sys.argv[1], hold).result()
"""


def call(channel: grpc.Channel, method: str, request) -> None:
    """Call a method over a bare connection; the answer is of no interest."""
    answer = channel.unary_unary(f"/google.pubsub.v1.{method}")
    answer(type(request).serialize(request), timeout=WAIT_SECONDS)


def exchange(publisher, subscriber, topic, subscription, text: bytes) -> None:
    """Send one message through the emulator."""
    publisher.publish(topic, text).result(WAIT_SECONDS)
    response = subscriber.pull(subscription=subscription, max_messages=10, timeout=WAIT_SECONDS)
    assert [one.message.data for one in response.received_messages] == [text]
    ack_ids = [one.ack_id for one in response.received_messages]
    subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)


@pytest.fixture
def control(emulator) -> Iterator[PubSubControl]:
    with PubSubControl(f"http://127.0.0.1:{emulator.ports['http']}") as opened:
        yield opened


@contextmanager
def holding(subscription: str, address: str) -> Iterator[subprocess.Popen]:
    """A process that leases a message, says its ID, and never settles it; killed at the end."""
    command = [sys.executable, "-c", VANISH, subscription]
    environment = {**os.environ, "PUBSUB_EMULATOR_HOST": address}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as client:
        try:
            yield client
        finally:
            client.kill()


class Stream:
    """A bare StreamingPull, whose two directions are in the hands of the test."""

    def __init__(self, channel: grpc.Channel, subscription: str) -> None:
        call = channel.stream_stream("/google.pubsub.v1.Subscriber/StreamingPull")
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._call = call(iter(self._requests.get, None), timeout=WAIT_SECONDS)
        opening = types.StreamingPullRequest(
            subscription=subscription, stream_ack_deadline_seconds=60
        )
        self._requests.put(types.StreamingPullRequest.serialize(opening))

    def next(self) -> types.StreamingPullResponse:
        return types.StreamingPullResponse.deserialize(next(self._call))

    def half_close(self) -> None:
        self._requests.put(None)

    def is_active(self) -> bool:
        return self._call.is_active()

    def end(self) -> None:
        self.half_close()
        self._call.cancel()


@pytest.fixture
def stream(channel, subscription) -> Iterator[Stream]:
    opened = Stream(channel, subscription)
    yield opened
    opened.end()


def pull_one(subscriber, subscription) -> str:
    """Return the ID of the next message."""
    response = subscriber.pull(subscription=subscription, max_messages=1, timeout=WAIT_SECONDS)
    return response.received_messages[0].message.message_id


def test_stops_when_asked_and_frees_its_port(launch):
    process = launch()
    port = process.ports["grpc"]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(WAIT_SECONDS)
    process.stop()
    assert process.process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
    launch("--port", str(port))


def test_stops_while_a_pull_waits_and_a_stream_is_open(launch):
    """Over bare calls: Google's client would go on for a minute to give back what it held."""
    process = launch()
    topic, streamed, pulled = f"{P}/topics/top", f"{P}/subscriptions/one", f"{P}/subscriptions/two"
    opening = types.StreamingPullRequest(subscription=streamed, stream_ack_deadline_seconds=60)
    request = types.PullRequest(subscription=pulled, max_messages=1)
    requests: queue.SimpleQueue = queue.SimpleQueue()
    requests.put(types.StreamingPullRequest.serialize(opening))
    with grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}") as channel:
        call(channel, "Publisher/CreateTopic", types.Topic(name=topic))
        for name in (streamed, pulled):
            subscription = types.Subscription(name=name, topic=topic)
            call(channel, "Subscriber/CreateSubscription", subscription)
        message = types.PubsubMessage(data=b"a")
        call(channel, "Publisher/Publish", types.PublishRequest(topic=topic, messages=[message]))
        call(channel, "Subscriber/Pull", request)
        stream = channel.stream_stream("/google.pubsub.v1.Subscriber/StreamingPull")
        responses = stream(iter(requests.get, None), timeout=WAIT_SECONDS)
        next(responses)
        pull = channel.unary_unary("/google.pubsub.v1.Subscriber/Pull")
        waiting = pull.future(types.PullRequest.serialize(request), timeout=WAIT_SECONDS)
        process.stop()
        requests.put(None)
        assert waiting.exception() is not None
        with pytest.raises(grpc.RpcError):
            next(responses)
    assert process.process.returncode == 0


def test_says_why_it_does_not_start(emulator, launch):
    with pytest.raises(ServiceFailed, match="address"):
        launch("--port", str(emulator.ports["grpc"]))


def test_listens_on_one_address_only(emulator):
    """All of 127.0.0.0/8 is this machine: whoever listens everywhere answers there too."""
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", emulator.ports["grpc"]), WAIT_SECONDS)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 10_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HTTP2_PREFACE + os.urandom(5_000),
    ],
)
def test_garbage_on_the_port_disturbs_nobody(emulator, clients, topic, subscription, garbage):
    with socket.create_connection(("127.0.0.1", emulator.ports["grpc"]), WAIT_SECONDS) as raw:
        raw.sendall(garbage)
        exchange(clients.publisher, clients.subscriber, topic, subscription, b"a")
    assert emulator.process.poll() is None


def test_a_request_that_is_no_message_disturbs_nobody(channel, clients, topic, subscription):
    for method in ("Publisher/Publish", "Subscriber/Pull", "Subscriber/Acknowledge"):
        garble = channel.unary_unary(f"/google.pubsub.v1.{method}")
        with pytest.raises(grpc.RpcError):
            garble(b"\xff\xff\xff", timeout=WAIT_SECONDS)
    exchange(clients.publisher, clients.subscriber, topic, subscription, b"a")


def test_a_connection_that_falls_silent_disturbs_nobody(emulator, clients, topic, subscription):
    """HTTP/2 has begun; the emulator's settings are never acknowledged, its pings never heard."""
    with socket.create_connection(("127.0.0.1", emulator.ports["grpc"]), WAIT_SECONDS) as raw:
        raw.sendall(HTTP2_PREFACE + HTTP2_EMPTY_SETTINGS)
        assert raw.recv(1)
        exchange(clients.publisher, clients.subscriber, topic, subscription, b"a")


def test_a_silent_connection_does_not_keep_it_from_stopping(launch):
    process = launch()
    address = ("127.0.0.1", process.ports["grpc"])
    with socket.create_connection(address, WAIT_SECONDS) as silent:
        silent.sendall(HTTP2_PREFACE + HTTP2_EMPTY_SETTINGS)
        assert silent.recv(1)
        process.stop()
    assert process.process.returncode == 0


def test_calls_without_a_request_disturb_nobody(channel, clients, topic, subscription):
    """The headers of each came, and nothing after them."""
    nothing: queue.SimpleQueue = queue.SimpleQueue()
    calls = [
        channel.stream_stream(f"/google.pubsub.v1.{method}")(iter(nothing.get, None))
        for method in ("Publisher/Publish", "Subscriber/Pull", "Subscriber/StreamingPull")
    ]
    exchange(clients.publisher, clients.subscriber, topic, subscription, b"a")
    assert all(call.is_active() for call in calls)
    for call in calls:
        nothing.put(None)
        call.cancel()


def test_a_half_closed_stream_ends_and_what_it_held_returns(
    stream, clients, control, topic, subscription
):
    clients.publisher.publish(topic, b"held").result(WAIT_SECONDS)
    held = stream.next().received_messages[0].message
    stream.half_close()
    with pytest.raises(StopIteration):
        stream.next()
    exchange(clients.publisher, clients.subscriber, topic, subscription, b"other")
    control.advance_clock(LONGEST_LEASE_SECONDS)
    assert pull_one(clients.subscriber, subscription) == held.message_id


def test_what_a_killed_client_held_returns(clients, control, topic, subscription, address):
    message_id = clients.publisher.publish(topic, b"held").result(WAIT_SECONDS)
    with holding(subscription, address) as client:
        assert client.stdout.readline().decode().strip() == message_id
    exchange(clients.publisher, clients.subscriber, topic, subscription, b"other")
    control.advance_clock(LONGEST_LEASE_SECONDS)
    assert pull_one(clients.subscriber, subscription) == message_id


def test_what_a_stopped_client_held_returns(clients, control, topic, subscription, address):
    """Its connection is open and silent, like that of a machine that lost its network.

    Until the emulator gives the connection up, its stream competes for the message.
    """
    message_id = clients.publisher.publish(topic, b"held").result(WAIT_SECONDS)
    with holding(subscription, address) as client:
        assert client.stdout.readline().decode().strip() == message_id
        client.send_signal(signal.SIGSTOP)
        returned = []
        while not returned:
            control.advance_clock(LONGEST_LEASE_SECONDS)
            response = clients.subscriber.pull(
                subscription=subscription, max_messages=1, timeout=WAIT_SECONDS
            )
            returned = [one.message.message_id for one in response.received_messages]
    assert returned == [message_id]


def test_a_client_that_does_not_read_blocks_nobody(clients, stream, topic, subscription):
    """What the transport does not take stays in the subscription, where others find it."""
    other = f"{subscription}-other"
    clients.subscriber.create_subscription(name=other, topic=topic)
    exchange(clients.publisher, clients.subscriber, topic, other, b"small")
    stream.next()
    sent = [f"{number}".encode() * LARGE_BYTES for number in range(LARGE_MESSAGES)]
    for text in sent:
        exchange(clients.publisher, clients.subscriber, topic, other, text)
    assert stream.is_active()
    response = clients.subscriber.pull(
        subscription=subscription, max_messages=1, timeout=WAIT_SECONDS
    )
    assert response.received_messages[0].message.data in sent
