"""The leased subscription against a real Pub/Sub emulator, which fails, is killed, and returns."""

import logging
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient, types

from tf_dataflow_serving.runners.leased.leases import Leased, Terms
from tf_dataflow_serving.runners.leased.subscription import LeasedSubscription, SubscriptionFailed
from tf_dataflow_serving.services.process import ServiceProcess
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl

TIMEOUT = 30.0
NOT_EXTENDED = Terms(lease_seconds=10, extend_every_seconds=3_600.0)
OFTEN_EXTENDED = Terms(lease_seconds=10, extend_every_seconds=0.1)
LOGGERS = "tf_dataflow_serving.runners.leased"


class Inbox:
    """Takes what comes to a subscription."""

    def __init__(self, path: str, **options: object) -> None:
        self._called = threading.Event()
        self.callers: set[threading.Thread] = set()
        self.subscription = LeasedSubscription(path, self._on_messages, **options)

    def _on_messages(self) -> None:
        self.callers.add(threading.current_thread())
        self._called.set()

    def wait(self) -> None:
        assert self._called.wait(TIMEOUT)
        self._called.clear()

    def take(self, count: int) -> list[Leased]:
        """Take messages until there are so many; there must not be more."""
        found: list[Leased] = []
        while len(found) < count:
            found += self.subscription.take()
            if len(found) < count:
                self.wait()
        assert len(found) == count
        return found

    def wait_until_waiting(self, count: int) -> None:
        while self.subscription.waiting < count:
            self.wait()


@dataclass(frozen=True)
class Place:
    """A topic with one subscription, on an emulator."""

    topic: str
    path: str
    control: PubSubControl
    publisher: PublisherClient

    def publish(self, *texts: str, **attributes: str) -> None:
        messages = [
            types.PubsubMessage(data=text.encode(), attributes=attributes) for text in texts
        ]
        self.publisher.publish(topic=self.topic, messages=messages, timeout=TIMEOUT)

    def out(self) -> int:
        (state,) = (one for one in self.control.subscriptions() if one.name == self.path)
        return state.out

    def deliveries(self) -> list[int]:
        return [
            one.subscriptions[self.path].deliveries for one in self.control.messages(self.topic)
        ]

    def extensions(self) -> int:
        (message,) = self.control.messages(self.topic)
        return message.subscriptions[self.path].extensions

    def wait_until_acknowledged(self) -> None:
        self.control.wait_until_acknowledged(self.path, TIMEOUT)

    def left(self, count: int) -> set[str]:
        """Return what another subscriber gets, which is so many messages."""
        with pubsub_v1.SubscriberClient() as client:
            found: set[str] = set()
            while len(found) < count:
                answer = client.pull(
                    subscription=self.path, max_messages=100, timeout=TIMEOUT, retry=None
                )
                found |= {one.message.data.decode() for one in answer.received_messages}
            return found


def texts(taken: list[Leased]) -> list[str]:
    return [leased.message.data.decode() for leased in taken]


@pytest.fixture(scope="module")
def emulator(start_service: Callable[..., ServiceProcess]) -> ServiceProcess:
    return start_service("pubsub")


Use = Callable[..., Place]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Make a topic with a subscription on an emulator, to which all clients go from now on."""
    with ExitStack() as cleanup:

        def make(service: ServiceProcess, **settings: object) -> Place:
            monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{service.ports['grpc']}")
            name = f"leased-{uuid.uuid4().hex}"
            topic, path = (
                f"projects/project/topics/{name}",
                f"projects/project/subscriptions/{name}",
            )
            publisher = PublisherClient()
            cleanup.callback(publisher.transport.close)
            publisher.create_topic(name=topic)
            with pubsub_v1.SubscriberClient() as client:
                client.create_subscription({"name": path, "topic": topic, **settings})
            control = cleanup.enter_context(
                PubSubControl(f"http://127.0.0.1:{service.ports['http']}")
            )
            return Place(topic, path, control, publisher)

        yield make


@pytest.fixture
def place(emulator: ServiceProcess, use: Use) -> Iterator[Place]:
    made = use(emulator)
    yield made
    made.control.remove_faults()


Open = Callable[..., Inbox]


@pytest.fixture
def inbox_of() -> Iterator[Open]:
    with ExitStack() as opened:

        def open_inbox(path: str, **options: object) -> Inbox:
            inbox = Inbox(path, **options)
            opened.callback(inbox.subscription.close, TIMEOUT)
            return inbox

        yield open_inbox


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, LOGGERS)
    return lambda: [one.getMessage() for one in caplog.records if one.name.startswith(LOGGERS)]


def kill(service: ServiceProcess) -> None:
    service.process.kill()
    service.process.wait(TIMEOUT)


# What comes


def test_messages_come_in_their_order_and_are_acknowledged(place: Place, inbox_of: Open) -> None:
    numbers = [str(number) for number in range(500)]
    place.publish(*numbers)
    inbox = inbox_of(place.path)
    taken = inbox.take(500)
    assert texts(taken) == numbers
    assert threading.current_thread() not in inbox.callers
    inbox.subscription.acknowledge(taken)
    place.wait_until_acknowledged()
    assert inbox.subscription.settle(TIMEOUT)


def test_no_more_is_taken_than_asked_for(place: Place, inbox_of: Open) -> None:
    place.publish(*"abc")
    subscription = (inbox := inbox_of(place.path)).subscription
    inbox.wait_until_waiting(3)
    assert texts(list(subscription.take(1))) == ["a"]
    assert subscription.waiting == 2
    assert texts(list(subscription.take())) == ["b", "c"]
    assert list(subscription.take()) == []


def test_what_is_published_later_comes_too(place: Place, inbox_of: Open) -> None:
    inbox = inbox_of(place.path)
    for text in "abc":
        place.publish(text)
        assert texts(inbox.take(1)) == [text]


def test_thousands_are_acknowledged_at_once(place: Place, inbox_of: Open) -> None:
    for _ in range(3):
        place.publish(*map(str, range(1_000)))
    inbox = inbox_of(place.path)
    inbox.subscription.acknowledge(inbox.take(3_000))
    place.wait_until_acknowledged()
    assert set(place.deliveries()) == {1}


def test_a_subscription_with_exactly_once_delivery(
    emulator: ServiceProcess, use: Use, inbox_of: Open, warnings: Callable[[], list[str]]
) -> None:
    place = use(emulator, enable_exactly_once_delivery=True)
    place.publish(*"abc")
    inbox = inbox_of(place.path, terms=OFTEN_EXTENDED)
    inbox.subscription.acknowledge(inbox.take(3))
    place.wait_until_acknowledged()
    assert inbox.subscription.settle(TIMEOUT)
    assert warnings() == []


# What cannot be pulled


def test_a_subscription_that_is_not_there_fails(place: Place, inbox_of: Open) -> None:
    inbox = inbox_of(f"{place.path}-not-there")
    inbox.wait()
    with pytest.raises(SubscriptionFailed, match=r"-not-there cannot be pulled from: NOT_FOUND"):
        inbox.subscription.take()


def test_a_subscription_that_is_deleted_fails(place: Place, inbox_of: Open) -> None:
    place.publish("a")
    inbox = inbox_of(place.path)
    inbox.subscription.acknowledge(inbox.take(1))
    assert inbox.subscription.settle(TIMEOUT)
    with pubsub_v1.SubscriberClient() as client:
        client.delete_subscription(subscription=place.path)
    inbox.wait()
    with pytest.raises(SubscriptionFailed, match="NOT_FOUND"):
        inbox.subscription.take()


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "INVALID_ARGUMENT", "FAILED_PRECONDITION"])
def test_what_would_fail_again_is_not_tried_again(place: Place, inbox_of: Open, code: str) -> None:
    place.control.inject("StreamingPull", code=code, message="You may not.")
    inbox = inbox_of(place.path)
    inbox.wait()
    with pytest.raises(SubscriptionFailed, match=f"{code}: You may not."):
        inbox.subscription.take()


# Leases


def test_leases_are_extended_until_they_are_settled(place: Place, inbox_of: Open) -> None:
    place.publish("a")
    inbox = inbox_of(place.path, terms=OFTEN_EXTENDED)
    taken = inbox.take(1)
    for _ in range(3):
        before = place.extensions()
        while place.extensions() < before + 2:  # The first may have been under way already.
            continue
        place.control.advance_clock(8)
    assert place.deliveries() == [1]
    inbox.subscription.acknowledge(taken)
    place.wait_until_acknowledged()


def test_what_is_delivered_again_under_lease_is_not_taken_twice(
    place: Place, inbox_of: Open
) -> None:
    place.publish("a")
    inbox = inbox_of(place.path, terms=NOT_EXTENDED)
    first = inbox.take(1)
    place.control.advance_clock(11)
    place.publish("b")
    second = inbox.take(1)
    while place.deliveries() != [2, 1]:
        continue
    assert texts(second) == ["b"]
    inbox.subscription.acknowledge([*first, *second])
    place.wait_until_acknowledged()
    assert place.deliveries() == [2, 1]


def test_what_is_delivered_again_after_its_acknowledgement_is_acknowledged_again(
    place: Place, inbox_of: Open, warnings: Callable[[], list[str]]
) -> None:
    place.publish("a")
    inbox = inbox_of(place.path, terms=NOT_EXTENDED)
    place.control.inject("Acknowledge", code="INVALID_ARGUMENT", message="Lost.", count=1)
    inbox.subscription.acknowledge(inbox.take(1))
    assert inbox.subscription.settle(TIMEOUT)
    assert warnings() == [
        "1 messages could not be acknowledged or given back, they may come again: "
        "INVALID_ARGUMENT: Lost."
    ]
    place.control.advance_clock(11)
    place.wait_until_acknowledged()
    assert (place.deliveries(), inbox.subscription.waiting) == ([2], 0)


def test_of_messages_with_one_label_one_is_taken(place: Place, inbox_of: Open) -> None:
    place.publish("a", source_id="1")
    inbox = inbox_of(place.path, id_label="source_id")
    (first,) = inbox.take(1)
    place.publish("again", source_id="1")
    place.publish("b", source_id="2")
    (second,) = inbox.take(1)
    inbox.subscription.acknowledge([first, second])
    place.publish("and again", source_id="1")
    place.wait_until_acknowledged()
    assert (texts([second]), inbox.subscription.waiting) == (["b"], 0)


def test_giving_back_forgets_the_label(place: Place, inbox_of: Open) -> None:
    place.publish("a", source_id="1")
    inbox = inbox_of(place.path, id_label="source_id")
    inbox.subscription.give_back(inbox.take(1))
    assert texts(inbox.take(1)) == ["a"]


# Settling


def test_what_is_given_back_comes_again(place: Place, inbox_of: Open) -> None:
    place.publish(*"ab")
    inbox = inbox_of(place.path)
    first, second = inbox.take(2)
    inbox.subscription.give_back([first])
    inbox.subscription.acknowledge([second])
    (again,) = inbox.take(1)
    assert texts([again]) == ["a"]
    inbox.subscription.acknowledge([again])
    place.wait_until_acknowledged()


def test_what_is_given_back_for_later_comes_again_then(place: Place, inbox_of: Open) -> None:
    place.publish("a")
    inbox = inbox_of(place.path)
    inbox.subscription.give_back(inbox.take(1), after=119.5)
    assert inbox.subscription.settle(TIMEOUT)
    place.control.advance_clock(110)
    assert place.out() == 1
    place.control.advance_clock(11)
    assert texts(inbox.take(1)) == ["a"]


def test_what_does_not_get_through_is_sent_again(place: Place, inbox_of: Open) -> None:
    place.publish("a")
    inbox = inbox_of(place.path)
    fault = place.control.inject("Acknowledge", code="UNAVAILABLE")
    inbox.subscription.acknowledge(inbox.take(1))
    while place.control.faults()[-1].struck < 2:
        continue
    assert not inbox.subscription.settle(0)
    fault.remove()
    assert inbox.subscription.settle(TIMEOUT)
    place.wait_until_acknowledged()


def test_what_does_not_get_through_while_its_lease_lasts_is_told(
    place: Place, inbox_of: Open, warnings: Callable[[], list[str]]
) -> None:
    place.publish(*"abc")
    now = [0.0]
    inbox = inbox_of(place.path, clock=lambda: now[0])
    place.control.inject("Acknowledge", code="UNAVAILABLE", message="Away.")
    inbox.subscription.acknowledge(inbox.take(3))
    while not place.control.faults()[-1].struck:
        continue
    assert not inbox.subscription.settle(0)
    now[0] = 60.0
    assert inbox.subscription.settle(TIMEOUT)
    assert [one.split(",")[0] for one in warnings()] == [
        "3 messages could not be acknowledged or given back"
    ]


# How much


def test_no_more_is_leased_than_the_terms_allow(place: Place, inbox_of: Open) -> None:
    place.publish(*map(str, range(50)))
    inbox = inbox_of(place.path, terms=Terms(messages=10))
    found: list[Leased] = []
    while len(found) < 50:
        assert place.out() <= 10
        taken = inbox.take(10)
        inbox.subscription.acknowledge(taken)
        found += taken
    assert texts(found) == [str(number) for number in range(50)]
    place.wait_until_acknowledged()


def flood(requests: Iterator[object], context: grpc.ServicerContext) -> Iterator[object]:
    """Serve a streaming pull that knows no limits."""
    response = types.StreamingPullResponse.pb()
    for number in range(100):
        messages = [
            {"ack_id": name, "message": {"message_id": name}}
            for name in (f"{number}-{one}" for one in range(10))
        ]
        yield response(received_messages=messages)
    finished = threading.Event()
    context.add_callback(finished.set)
    finished.wait(TIMEOUT)


@pytest.fixture
def flooding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service that ignores flow control, and takes whatever is settled."""
    answer = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    request = types.StreamingPullRequest.pb()
    handlers = {
        "StreamingPull": grpc.stream_stream_rpc_method_handler(
            flood, request.FromString, lambda response: response.SerializeToString()
        ),
        "Acknowledge": answer,
        "ModifyAckDeadline": answer,
    }
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", handlers)]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
        yield
        server.stop(None).wait(TIMEOUT)


@pytest.mark.parametrize("terms", [Terms(messages=25), Terms(bytes=300)])
def test_a_service_that_ignores_the_terms_is_not_read(
    flooding: None, inbox_of: Open, terms: Terms
) -> None:
    inbox = inbox_of("projects/project/subscriptions/flood", terms=terms)
    taken = 0
    while taken < 1_000:
        inbox.wait()
        while messages := inbox.subscription.take(7):
            assert inbox.subscription.waiting <= 30
            inbox.subscription.acknowledge(messages)
            taken += len(messages)


# Outages


def test_a_broken_stream_is_opened_again_and_told_once(
    place: Place, inbox_of: Open, warnings: Callable[[], list[str]]
) -> None:
    place.publish("a")
    place.control.inject("StreamingPull", code="UNAVAILABLE", message="Away.", count=3)
    inbox = inbox_of(place.path)
    assert texts(inbox.take(1)) == ["a"]
    assert warnings() == [
        "Pub/Sub does not answer, it is tried again until it does: UNAVAILABLE: Away.",
        "Pub/Sub answers again",
    ]


def test_an_emulator_is_killed_and_returns(
    start_service: Callable[..., ServiceProcess],
    tmp_path: Path,
    use: Use,
    inbox_of: Open,
    warnings: Callable[[], list[str]],
) -> None:
    data = ("--data_dir", str(tmp_path / "data"))
    service = start_service("pubsub", *data)
    place = use(service)
    place.publish(*"abc")
    inbox = inbox_of(place.path)
    first, second, third = inbox.take(3)
    inbox.subscription.acknowledge([first])
    assert inbox.subscription.settle(TIMEOUT)
    kill(service)
    inbox.subscription.acknowledge([second])
    again = start_service("pubsub", *data, "--port", str(service.ports["grpc"]))
    place.publish("d")
    (fourth,) = inbox.take(1)
    assert texts([fourth]) == ["d"]
    inbox.subscription.acknowledge([third, fourth])
    with PubSubControl(f"http://127.0.0.1:{again.ports['http']}") as control:
        control.wait_until_acknowledged(place.path, TIMEOUT)
    assert inbox.subscription.waiting == 0
    assert [one.split(",")[0] for one in warnings()] == [
        "Pub/Sub does not answer",
        "Pub/Sub answers again",
    ]


# The end


def test_what_waits_is_given_back_at_the_stop_and_what_was_taken_can_be_settled(
    place: Place, inbox_of: Open
) -> None:
    place.publish(*"abcd")
    inbox = inbox_of(place.path)
    inbox.wait_until_waiting(4)
    taken = inbox.subscription.take(2)
    inbox.subscription.stop()
    assert inbox.subscription.settle(TIMEOUT)
    assert (place.out(), inbox.subscription.waiting) == (2, 0)
    inbox.subscription.acknowledge(taken)
    inbox.subscription.close(TIMEOUT)
    assert place.left(2) == {"c", "d"}


def test_all_that_is_leased_is_given_back_at_the_close(place: Place, inbox_of: Open) -> None:
    numbers = [str(number) for number in range(100)]
    place.publish(*numbers)
    inbox = inbox_of(place.path)
    inbox.wait_until_waiting(50)
    inbox.subscription.take(30)
    inbox.subscription.close(TIMEOUT)
    assert place.out() == 0
    assert place.left(100) == set(numbers)


def test_what_was_acknowledged_is_sent_before_the_close_ends(place: Place, inbox_of: Open) -> None:
    place.publish(*"abc")
    inbox = inbox_of(place.path)
    inbox.subscription.acknowledge(inbox.take(3))
    inbox.subscription.close(TIMEOUT)
    place.control.wait_until_acknowledged(place.path, 0)
    assert place.out() == 0


def test_closing_again_does_nothing(place: Place, inbox_of: Open) -> None:
    inbox = inbox_of(place.path)
    for _ in range(2):
        inbox.subscription.close(TIMEOUT)
    inbox.subscription.stop()
    assert list(inbox.subscription.take()) == []


def wait_until_gone(threads: set[threading.Thread]) -> None:
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), thread


def test_no_thread_is_left(place: Place) -> None:
    before = set(threading.enumerate())
    place.publish(*"abc")
    inbox = Inbox(place.path)
    inbox.wait_until_waiting(3)
    ours = set(threading.enumerate()) - before
    assert {"pubsub-pull", "pubsub-settle"} <= {thread.name for thread in ours}
    inbox.subscription.close(TIMEOUT)
    wait_until_gone(ours)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_closing_ends_though_the_service_is_gone(
    start_service: Callable[..., ServiceProcess],
    use: Use,
    warnings: Callable[[], list[str]],
    how: signal.Signals,
) -> None:
    service = start_service("pubsub")
    place = use(service)
    place.publish(*"abc")
    before = set(threading.enumerate())
    inbox = Inbox(place.path)
    (first, *_) = inbox.take(3)
    ours = set(threading.enumerate()) - before
    service.process.send_signal(how)
    inbox.subscription.acknowledge([first])
    inbox.subscription.close(2.0)
    wait_until_gone(ours)
    service.process.kill()
    told = [one for one in warnings() if "acknowledged" in one]
    assert told, "what was not sent must be told"


def test_closing_ends_while_pubsub_is_awaited(place: Place) -> None:
    place.control.inject("StreamingPull", code="UNAVAILABLE")
    before = set(threading.enumerate())
    inbox = Inbox(place.path)
    ours = set(threading.enumerate()) - before
    while not place.control.faults()[-1].struck:
        continue
    inbox.subscription.close(TIMEOUT)
    wait_until_gone(ours)
