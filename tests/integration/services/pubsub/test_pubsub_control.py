"""The control endpoint over HTTP and by its client, beside Google's own clients."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import pytest
from google.pubsub_v1 import types

from tf_dataflow_serving.services.process import ServiceProcess
from tf_dataflow_serving.services.pubsub.control.client import (
    ControlFailed,
    NotAcknowledged,
    Progress,
    PubSubControl,
)

MODULE = "tf_dataflow_serving.services.pubsub"
WAIT_SECONDS = 30.0


def url(process: ServiceProcess) -> str:
    return f"http://127.0.0.1:{process.ports['http']}"


@pytest.fixture
def control(emulator) -> Iterator[PubSubControl]:
    with PubSubControl(url(emulator)) as client:
        yield client
        client.remove_faults()
        client.clear()


@pytest.fixture
def http(emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url(emulator), timeout=WAIT_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture
def publish(channel, topic) -> Callable[..., list[str]]:
    """Publishes once, without the retries of Google's client, and returns message IDs."""
    method = channel.unary_unary(
        "/google.pubsub.v1.Publisher/Publish",
        request_serializer=types.PublishRequest.serialize,
        response_deserializer=types.PublishResponse.deserialize,
    )

    def call(*texts: str, to: str = topic, timeout: float = WAIT_SECONDS, **attributes: str):
        messages = [types.PubsubMessage(data=one, attributes=attributes) for one in encoded(texts)]
        request = types.PublishRequest(topic=to, messages=messages)
        return list(method(request, timeout=timeout).message_ids)

    return call


def encoded(texts) -> list[bytes]:
    return [text.encode() for text in texts]


@pytest.fixture
def pull(subscriber, subscription) -> Callable[..., list[types.ReceivedMessage]]:
    def call(name: str = subscription) -> list[types.ReceivedMessage]:
        response = subscriber.pull(subscription=name, max_messages=100, timeout=WAIT_SECONDS)
        return list(response.received_messages)

    return call


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"


def acknowledge(subscriber, subscription, received) -> None:
    subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])


def data_of(messages) -> list[bytes]:
    return [message.data for message in messages]


def test_a_published_message_is_listed_with_all_that_it_has(control, publish, topic):
    before = control.now()
    (message_id,) = publish("hello", color="red")
    (message,) = control.messages()
    assert (message.topic, message.message_id) == (topic, message_id)
    assert (message.data, message.attributes) == (b"hello", {"color": "red"})
    assert (message.ordering_key, message.subscriptions) == ("", {})
    assert before <= message.publish_time <= control.now()


def test_a_message_tells_how_far_it_is(control, publish, pull, subscriber, subscription):
    publish("a")
    (received,) = pull()
    assert control.messages().messages[0].subscriptions == {subscription: Progress(1, 0, False)}
    for seconds in (60, 0):
        subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=[received.ack_id], ack_deadline_seconds=seconds
        )
    acknowledge(subscriber, subscription, pull())
    assert control.messages().messages[0].subscriptions == {subscription: Progress(2, 1, True)}


def test_messages_are_listed_by_topic_and_by_subscription(
    control, publish, pull, publisher, subscriber, project, topic, subscription
):
    other = publisher.create_topic(name=f"{project}/topics/other").name
    second = subscriber.create_subscription(name=f"{subscription}-2", topic=topic).name
    publish("a")
    pull()
    publish("b")
    pull(second)
    publish("c", to=other)
    assert data_of(control.messages()) == [b"a", b"b", b"c"]
    assert data_of(control.messages(topic=topic)) == [b"a", b"b"]
    (only,) = control.messages(subscription=subscription)
    assert (only.data, list(only.subscriptions)) == (b"a", [subscription])
    with pytest.raises(ControlFailed, match="nowhere"):
        control.messages(topic=f"{project}/topics/nowhere")


def test_a_long_list_comes_in_pages(control, http, publish):
    texts = [f"{number}" for number in range(250)]
    publish(*texts)
    assert data_of(control.messages()) == encoded(texts)
    found: list[str] = []
    token = ""
    while True:
        query = {"page_size": "60", "page_token": token}
        page = http.get("/v1/messages", params=query).json()
        assert len(page["messages"]) <= 60
        found += [message["message_id"] for message in page["messages"]]
        token = page["next_page_token"]
        if not token:
            break
    assert found == [message.message_id for message in control.messages()]


def test_a_page_ends_where_it_would_become_too_large(control, http, publish):
    for _ in range(5):
        publish("x" * 4_000_000)
    assert len(http.get("/v1/messages").json()["messages"]) == 3
    assert len(control.messages()) == 5


def test_it_says_how_many_messages_it_has_forgotten(launch):
    process = launch("--journal_messages", "3")
    topic = "projects/p/topics/top"
    try:
        with (
            grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}") as channel,
            PubSubControl(url(process)) as control,
        ):
            create = channel.unary_unary("/google.pubsub.v1.Publisher/CreateTopic")
            create(types.Topic.serialize(types.Topic(name=topic)), timeout=WAIT_SECONDS)
            texts = [types.PubsubMessage(data=f"{number}".encode()) for number in range(5)]
            request = types.PublishRequest(topic=topic, messages=texts)
            publish = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
            publish(types.PublishRequest.serialize(request), timeout=WAIT_SECONDS)
            listed = control.messages()
            assert (data_of(listed), listed.forgotten) == ([b"2", b"3", b"4"], 2)
            control.clear()
            assert control.messages().forgotten == 0
    finally:
        process.stop()


def test_after_clear_nothing_is_left_but_topics_and_subscriptions(
    control, publish, pull, subscriber, topic, subscription
):
    publish("out")
    pull()
    publish("waiting")
    control.clear()
    assert len(control.messages()) == 0
    control.wait_until_acknowledged(timeout=0)
    publish("new")
    assert [one.message.data for one in pull()] == [b"new"]


def test_one_subscription_can_be_cleared_without_the_others(
    control, publish, pull, subscriber, topic, subscription
):
    other = subscriber.create_subscription(name=f"{subscription}-2", topic=topic).name
    publish("a")
    control.clear(subscription)
    assert [one.message.data for one in pull(other)] == [b"a"]
    control.wait_until_acknowledged(subscription, timeout=0)
    assert data_of(control.messages()) == [b"a"]


def test_a_subscription_tells_what_it_owes(control, publish, pull, topic, subscription):
    publish("a")
    pull()
    publish("b", "c")
    (state,) = [one for one in control.subscriptions() if one.name == subscription]
    assert (state.topic, state.unacknowledged, state.out) == (topic, 3, 1)


def test_waiting_ends_with_the_last_acknowledgement(
    control, publish, pull, subscriber, subscription
):
    publish("a", "b")
    with ThreadPoolExecutor() as threads:
        waits = [
            threads.submit(control.wait_until_acknowledged, name, WAIT_SECONDS)
            for name in (subscription, "")
        ]
        first, second = pull()
        acknowledge(subscriber, subscription, [first])
        with pytest.raises(NotAcknowledged):
            control.wait_until_acknowledged(subscription, timeout=0)
        acknowledge(subscriber, subscription, [second])
        for wait in waits:
            wait.result(WAIT_SECONDS)


def test_waiting_ends_when_what_is_left_is_a_dead_letter_or_too_old(
    control, publisher, subscriber, publish, pull, topic, project
):
    letters = publisher.create_topic(name=f"{project}/topics/dead").name
    name = f"{project}/subscriptions/dying"
    request = {
        "name": name,
        "topic": topic,
        "dead_letter_policy": {"dead_letter_topic": letters},
        "message_retention_duration": timedelta(minutes=10),
    }
    subscriber.create_subscription(request=request)
    with ThreadPoolExecutor() as threads:
        publish("poison")
        waiting = threads.submit(control.wait_until_acknowledged, name, WAIT_SECONDS)
        for _ in range(5):
            ack_ids = [one.ack_id for one in pull(name)]
            subscriber.modify_ack_deadline(
                subscription=name, ack_ids=ack_ids, ack_deadline_seconds=0
            )
        waiting.result(WAIT_SECONDS)
        assert data_of(control.messages(topic=letters)) == [b"poison"]
        publish("old")
        waiting = threads.submit(control.wait_until_acknowledged, name, WAIT_SECONDS)
        assert not waiting.done()
        control.advance_clock(11 * 60)
        waiting.result(WAIT_SECONDS)
    (state,) = [one for one in control.subscriptions() if one.name == name]
    assert state.unacknowledged == 0


def test_a_client_that_waits_no_more_is_not_waited_for(launch):
    process = launch()
    with grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}") as channel:
        publish_to_nobody(channel)
        with pytest.raises(httpx.TimeoutException):
            httpx.post(f"{url(process)}/v1/wait", json={}, timeout=0.2, trust_env=False)
    process.stop()
    assert "Traceback" not in process.log.read_text()


def publish_to_nobody(channel: grpc.Channel) -> None:
    """Leave a message that nobody acknowledges."""
    topic, name = "projects/p/topics/top", "projects/p/subscriptions/sub"
    subscription = types.Subscription(name=name, topic=topic)
    message = types.PubsubMessage(data=b"a")
    for method, request in (
        ("Publisher/CreateTopic", types.Topic(name=topic)),
        ("Subscriber/CreateSubscription", subscription),
        ("Publisher/Publish", types.PublishRequest(topic=topic, messages=[message])),
    ):
        call = channel.unary_unary(f"/google.pubsub.v1.{method}")
        call(type(request).serialize(request), timeout=WAIT_SECONDS)


def test_waiting_in_vain_tells_what_is_pending(control, publish, subscription):
    publish("a", "b")
    with pytest.raises(NotAcknowledged, match=f"2 of {subscription}$") as failure:
        control.wait_until_acknowledged(timeout=0.05)
    assert failure.value.pending == {subscription: 2}


def test_waiting_for_an_unknown_subscription_fails(control):
    with pytest.raises(ControlFailed, match="projects/p/subscriptions/nowhere"):
        control.wait_until_acknowledged("projects/p/subscriptions/nowhere")


def test_a_fault_fails_calls_with_its_code_as_often_as_it_is_told(control, publish):
    control.inject("Publish", code="UNAVAILABLE", message="try later", count=1)
    with pytest.raises(grpc.RpcError) as failure:
        publish("lost")
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    assert failure.value.details() == "try later"
    publish("kept")
    assert data_of(control.messages()) == [b"kept"]
    (fault,) = control.faults()
    assert (fault.method, fault.code, fault.count, fault.struck) == ("Publish", "UNAVAILABLE", 1, 1)


def test_the_official_client_gets_over_passing_faults(control, publisher, topic):
    control.inject("Publish", code="UNAVAILABLE", count=2)
    publisher.publish(topic, b"stubborn").result(WAIT_SECONDS)
    assert data_of(control.messages()) == [b"stubborn"]
    assert control.faults()[0].struck == 2


def test_a_fault_ends_with_its_context(control, publish):
    with control.inject("Publish", code="INTERNAL"), pytest.raises(grpc.RpcError):
        publish("lost")
    publish("kept")
    assert control.faults() == []


def test_a_fault_strikes_a_stream_when_it_opens(control, channel, subscription):
    control.inject("StreamingPull", code="PERMISSION_DENIED", count=1)
    method = "/google.pubsub.v1.Subscriber/StreamingPull"
    opening = types.StreamingPullRequest(subscription=subscription, stream_ack_deadline_seconds=10)
    stream = channel.stream_stream(method, types.StreamingPullRequest.serialize)
    with pytest.raises(grpc.RpcError) as failure:
        next(stream(iter([opening]), timeout=WAIT_SECONDS))
    assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_delay_lets_a_call_be_late_and_others_go_on(control, publish, topic, publisher):
    control.inject("Publish", delay=3_600, count=1)
    with pytest.raises(grpc.RpcError) as failure:
        publish("late", timeout=0.2)
    assert failure.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    control.inject("Publish", delay=0.01)
    publish("kept")
    assert data_of(control.messages()) == [b"kept"]
    assert [fault.struck for fault in control.faults()] == [1, 1]


def test_the_emulator_stops_while_a_fault_delays_a_call_and_somebody_waits(launch):
    process = launch()
    with (
        grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}") as channel,
        PubSubControl(url(process)) as control,
        ThreadPoolExecutor() as threads,
    ):
        publish_to_nobody(channel)
        control.inject("GetTopic", delay=3_600)
        call = channel.unary_unary("/google.pubsub.v1.Publisher/GetTopic")
        late = call.future(b"", timeout=WAIT_SECONDS)
        wait_until(lambda: control.faults()[0].struck)
        waiting = threads.submit(control.wait_until_acknowledged, "", WAIT_SECONDS)
        process.stop()
        assert late.exception() is not None
        assert isinstance(waiting.exception(WAIT_SECONDS), ControlFailed)
    assert process.process.returncode == 0


def test_moving_the_clock_ends_leases(control, publish, pull, subscription):
    publish("a")
    (first,) = pull()
    control.advance_clock(11)
    (state,) = [one for one in control.subscriptions() if one.name == subscription]
    assert (state.unacknowledged, state.out) == (1, 0)
    (second,) = pull()
    assert second.message == first.message


def test_the_clock_goes_on_from_where_it_was_moved_to(control, publish):
    before = control.now()
    moved = control.advance_clock(3_600)
    assert moved - before >= timedelta(hours=1)
    assert control.now() >= moved
    publish("a")
    (message,) = control.messages()
    assert message.publish_time >= moved
    assert moved > datetime.now(UTC)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/v1/clock", {}, "advance_seconds must be a number"),
        ("POST", "/v1/clock", {"advance_seconds": "1"}, "advance_seconds must be a number"),
        ("POST", "/v1/clock", {"advance_seconds": True}, "advance_seconds must be a number"),
        ("POST", "/v1/clock", {"advance_seconds": -1}, "advance_seconds must be from 0"),
        ("POST", "/v1/clock", {"advance_seconds": 1e300}, "advance_seconds must be from 0"),
        ("POST", "/v1/wait", {"timeout_seconds": -1}, "timeout_seconds must be from 0 to 3600"),
        ("POST", "/v1/wait", {"timeout": 1}, "timeout is not known"),
        ("POST", "/v1/wait", {"subscription": 1}, "subscription must be a string"),
        ("POST", "/v1/wait", {"subscription": "nonsense"}, "nonsense"),
        ("POST", "/v1/faults", {"code": "ABORTED"}, "method"),
        ("POST", "/v1/faults", {"method": "Pull", "code": "BROKEN"}, "code must be one of"),
        ("POST", "/v1/faults", {"method": "Pull", "code": "ABORTED", "count": 1.5}, "count"),
        ("POST", "/v1/faults", {"method": "Pull", "code": "ABORTED", "what": 1}, "what is not"),
        ("POST", "/v1/faults", ["Publish"], "must be a JSON object"),
        ("POST", "/v1/faults", {"message": "x" * 65_536}, "larger than 65536 bytes"),
        ("DELETE", "/v1/faults/one", None, "id must be a whole number"),
        ("DELETE", "/v1/faults?id=1", None, "id is not known"),
        ("DELETE", "/v1/messages?subscripton=x", None, "subscripton is not known"),
        ("GET", "/v1/messages?page_size=-1", None, "page_size must be a whole number"),
        ("GET", "/v1/messages?page_token=x", None, "page_token must be a whole number"),
    ],
)
def test_a_bad_request_is_refused_in_words(control, http, method, path, body, words):
    response = http.request(method, path, json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]
    assert control.faults() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v1/faults/12345", 404),
        ("DELETE", "/v1/messages?subscription=projects/p/subscriptions/nowhere", 404),
        ("GET", "/v1/messages?subscription=projects/p/subscriptions/nowhere", 404),
        ("GET", "/v1/nonsense", 404),
        ("PUT", "/v1/clock", 405),
    ],
)
def test_what_does_not_exist_is_refused_in_words(http, method, path, status):
    response = http.request(method, path)
    assert (response.status_code, bool(response.json()["error"]["message"])) == (status, True)


def test_a_body_that_is_no_json_is_refused(http):
    response = http.post("/v1/wait", content=b"{")
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["message"]


def test_the_endpoint_listens_on_one_address_only(emulator):
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", emulator.ports["http"]), WAIT_SECONDS)


def test_the_client_says_that_there_is_no_emulator():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with (
        PubSubControl(f"http://127.0.0.1:{port}") as control,
        pytest.raises(ControlFailed, match=f"127.0.0.1:{port}"),
    ):
        control.now()


def test_the_client_needs_neither_grpc_nor_a_server():
    program = (
        f"import sys, {MODULE}.control.client; "
        "assert not {'grpc', 'starlette', 'uvicorn'} & sys.modules.keys()"
    )
    finished = subprocess.run([sys.executable, "-c", program], timeout=WAIT_SECONDS, check=False)
    assert finished.returncode == 0
