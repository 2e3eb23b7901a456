"""The emulator as a process: its port, its end, and clients that misbehave."""

import os
import queue
import socket
import subprocess
import sys

import grpc
import pytest
from google.pubsub_v1 import types

from tf_dataflow_serving.services.process import ServiceFailed, ServiceProcess

MODULE = "tf_dataflow_serving.services.pubsub"
WAIT_SECONDS = 30.0
P = "projects/p"

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


def start(directory, *arguments: str) -> ServiceProcess:
    return ServiceProcess.start("pubsub", MODULE, arguments, directory / "log", os.environ)


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


def test_stops_when_asked_and_frees_its_port(tmp_path):
    process = start(tmp_path)
    port = process.ports["grpc"]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(WAIT_SECONDS)
    process.stop()
    assert process.process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
    start(tmp_path, "--port", str(port)).stop()


def test_stops_while_a_pull_waits_and_a_stream_is_open(tmp_path):
    """Over bare calls: Google's client would go on for a minute to give back what it held."""
    process = start(tmp_path)
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


def test_says_why_it_does_not_start(emulator, tmp_path):
    with pytest.raises(ServiceFailed, match="address"):
        start(tmp_path, "--port", str(emulator.ports["grpc"]))


def test_listens_on_one_address_only(emulator):
    """All of 127.0.0.0/8 is this machine: whoever listens everywhere answers there too."""
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", emulator.ports["grpc"]), WAIT_SECONDS)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 10_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(5_000),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
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


def test_what_a_killed_client_held_returns(clients, topic, subscription, address):
    """After the 10 seconds for which Google's client extends a lease at first."""
    message_id = clients.publisher.publish(topic, b"held").result(WAIT_SECONDS)
    environment = {**os.environ, "PUBSUB_EMULATOR_HOST": address}
    command = [sys.executable, "-c", VANISH, subscription]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as client:
        assert client.stdout is not None
        assert client.stdout.readline().decode().strip() == message_id
        client.kill()
    exchange(clients.publisher, clients.subscriber, topic, subscription, b"other")
    for _ in range(12):
        response = clients.subscriber.pull(subscription=subscription, max_messages=1)
        if response.received_messages:
            break
    assert [one.message.message_id for one in response.received_messages] == [message_id]


def test_a_client_that_does_not_read_blocks_nobody(clients, channel, topic, subscription):
    """Megabytes wait for a stream whose client has stopped reading; others go on."""
    other = f"{subscription}-other"
    clients.subscriber.create_subscription(name=other, topic=topic)
    opening = types.StreamingPullRequest(subscription=subscription, stream_ack_deadline_seconds=60)
    requests: queue.SimpleQueue = queue.SimpleQueue()
    requests.put(types.StreamingPullRequest.serialize(opening))
    stream = channel.stream_stream("/google.pubsub.v1.Subscriber/StreamingPull")
    stalled = stream(iter(requests.get, None))
    exchange(clients.publisher, clients.subscriber, topic, other, b"small")
    next(stalled)
    for number in range(4):
        text = f"{number}".encode() * 3_000_000
        exchange(clients.publisher, clients.subscriber, topic, other, text)
    assert stalled.is_active()
    requests.put(None)
    stalled.cancel()
