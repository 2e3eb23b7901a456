"""Publish, pull and acknowledge by Google's own clients."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.api_core import exceptions
from google.pubsub_v1 import types

WAIT_SECONDS = 30.0
NO_RETRY = {"retry": None, "timeout": WAIT_SECONDS}


def publish(publisher, topic, *texts: str, **attributes: str) -> list[str]:
    futures = [publisher.publish(topic, text.encode(), **attributes) for text in texts]
    return [future.result(WAIT_SECONDS) for future in futures]


def pull(subscriber, subscription, limit=1000, **options):
    response = subscriber.pull(
        subscription=subscription, max_messages=limit, **{**NO_RETRY, **options}
    )
    return list(response.received_messages)


def texts(received) -> list[str]:
    return [one.message.data.decode() for one in received]


def ack_ids(received) -> list[str]:
    return [one.ack_id for one in received]


def drain(subscriber, subscription, count: int) -> list[str]:
    """Pull and acknowledge until `count` messages came; a pull that waits in vain is an error."""
    found: list[str] = []
    while len(found) < count:
        received = pull(subscriber, subscription)
        assert received, f"{len(found)} of {count} messages came"
        subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids(received))
        found += texts(received)
    return found


def test_a_message_keeps_its_content(publisher, subscriber, topic, subscription):
    future = publisher.publish(topic, b"\0\xff data", color="red", empty="")
    (received,) = pull(subscriber, subscription)
    message = received.message
    assert message.message_id == future.result(WAIT_SECONDS)
    assert message.data == b"\0\xff data"
    assert dict(message.attributes) == {"color": "red", "empty": ""}
    assert received.delivery_attempt == 0
    assert abs(message.publish_time.timestamp() - time.time()) < 3600


def test_thousands_of_messages_arrive_once_each(publisher, subscriber, topic, subscription):
    sent = [str(number) for number in range(5000)]
    message_ids = publish(publisher, topic, *sent)
    assert len(set(message_ids)) == len(sent)
    assert sorted(drain(subscriber, subscription, len(sent)), key=int) == sent


def test_publishers_at_the_same_time_lose_nothing(connect, subscriber, topic, subscription):
    def send(number: int) -> list[str]:
        names = [f"{number}-{index}" for index in range(200)]
        publish(connect().publisher, topic, *names)
        return names

    with ThreadPoolExecutor(4) as threads:
        sent = [name for names in threads.map(send, range(4)) for name in names]
    assert sorted(drain(subscriber, subscription, len(sent))) == sorted(sent)


def test_messages_beyond_what_a_client_takes_at_once_come_one_after_another(
    publisher, subscriber, topic, subscription
):
    """A client of PUBSUB_EMULATOR_HOST refuses a response of more than 4 MiB."""
    sent = [f"{number}" * 1_500_000 for number in range(4)]
    publish(publisher, topic, *sent)
    assert sorted(drain(subscriber, subscription, len(sent))) == sent


def test_a_message_may_be_as_large_as_a_request(address, publisher, topic, subscription):
    data = bytes(9_900_000)
    publisher.publish(topic, data).result(WAIT_SECONDS)
    request = types.PullRequest(subscription=subscription, max_messages=1)
    with grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)]) as channel:
        pull_raw = channel.unary_unary("/google.pubsub.v1.Subscriber/Pull")
        answer = pull_raw(types.PullRequest.serialize(request), timeout=WAIT_SECONDS)
    (received,) = types.PullResponse.deserialize(answer).received_messages
    assert received.message.data == data


def test_a_pull_of_nothing_ends_with_nothing(subscriber, subscription):
    assert pull(subscriber, subscription) == []


@pytest.mark.filterwarnings("ignore:.*return_immediately:DeprecationWarning")
def test_a_pull_that_must_not_wait_does_not(subscriber, subscription):
    """Within a deadline that ends before a pull that waits does."""
    request = {"subscription": subscription, "max_messages": 1, "return_immediately": True}
    assert not subscriber.pull(request=request, retry=None, timeout=4).received_messages


def test_a_pull_that_was_given_up_takes_nothing(publisher, subscriber, topic, subscription):
    with pytest.raises(exceptions.DeadlineExceeded):
        pull(subscriber, subscription, timeout=0.2)
    publish(publisher, topic, "a")
    assert texts(pull(subscriber, subscription)) == ["a"]


def test_a_pull_that_waits_wakes_on_publish(publisher, subscriber, topic, subscription):
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(pull, subscriber, subscription)
        publish(publisher, topic, "a")
        assert texts(waiting.result(WAIT_SECONDS)) == ["a"]


def test_a_pull_has_the_limit_that_it_asks_for(publisher, subscriber, topic, subscription):
    publish(publisher, topic, *"abc")
    assert len(pull(subscriber, subscription, 2)) == 2
    assert len(pull(subscriber, subscription, 2)) == 1


def test_an_acknowledged_message_does_not_return(publisher, subscriber, topic, subscription):
    publish(publisher, topic, *"ab")
    first, second = pull(subscriber, subscription)
    subscriber.acknowledge(subscription=subscription, ack_ids=[first.ack_id])
    subscriber.modify_ack_deadline(
        subscription=subscription,
        ack_ids=[first.ack_id, second.ack_id],
        ack_deadline_seconds=0,
    )
    assert texts(pull(subscriber, subscription)) == texts([second])


def test_a_message_given_back_returns_at_once(publisher, subscriber, topic, subscription):
    publish(publisher, topic, "a")
    (first,) = pull(subscriber, subscription)
    subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[first.ack_id], ack_deadline_seconds=0
    )
    (second,) = pull(subscriber, subscription)
    assert second.message == first.message
    assert second.ack_id != first.ack_id


def test_a_message_returns_when_its_lease_ends(publisher, subscriber, topic, subscription):
    publish(publisher, topic, "a")
    received = pull(subscriber, subscription)
    subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=ack_ids(received), ack_deadline_seconds=1
    )
    assert texts(pull(subscriber, subscription)) == ["a"]


def test_each_subscription_has_its_own_copy(publisher, subscriber, topic, project):
    names = [f"{project}/subscriptions/s-{number}" for number in range(3)]
    for name in names:
        subscriber.create_subscription(name=name, topic=topic)
    publish(publisher, topic, *"ab")
    for name in names:
        assert sorted(drain(subscriber, name, 2)) == ["a", "b"]


def test_a_filter_selects(publisher, subscriber, topic, project):
    request = {
        "name": f"{project}/subscriptions/red",
        "topic": topic,
        "filter": 'attributes.color = "red"',
    }
    red = subscriber.create_subscription(request=request)
    assert red.filter == request["filter"]
    publish(publisher, topic, "no", color="blue")
    publish(publisher, topic, "yes", color="red")
    assert texts(pull(subscriber, red.name)) == ["yes"]


def test_a_key_keeps_its_order(connect, topic, project):
    clients = connect(enable_message_ordering=True)
    name = f"{project}/subscriptions/ordered"
    request = {"name": name, "topic": topic, "enable_message_ordering": True}
    clients.subscriber.create_subscription(request=request)
    sent = [str(number) for number in range(300)]
    futures = [
        clients.publisher.publish(topic, text.encode(), ordering_key=str(int(text) % 2))
        for text in sent
    ]
    for future in futures:
        future.result(WAIT_SECONDS)
    found = drain(clients.subscriber, name, len(sent))
    for parity in (0, 1):
        assert [text for text in found if int(text) % 2 == parity] == sent[parity::2]


def test_pulls_of_many_clients_share_without_repeating(connect, publisher, topic, subscription):
    sent = [str(number) for number in range(1000)]
    found: list[str] = []
    lock, done = threading.Lock(), threading.Event()

    def work(_: int) -> None:
        client = connect().subscriber
        while not done.is_set():
            received = pull(client, subscription, 50)
            if received:
                client.acknowledge(subscription=subscription, ack_ids=ack_ids(received))
            with lock:
                found.extend(texts(received))
                if len(found) >= len(sent):
                    done.set()

    with ThreadPoolExecutor(3) as threads:
        workers = threads.map(work, range(3))
        publish(publisher, topic, *sent)
        list(workers)
    assert sorted(found, key=int) == sent
