"""Leases, acknowledgements, sharing and lifecycles under a fake clock."""

from contextlib import ExitStack

import pytest

from tf_dataflow_serving.services.pubsub.backlog import STEPS_PER_TURN
from tf_dataflow_serving.services.pubsub.broker import DELIVERED_BYTES, EXPIRED_PER_TURN
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.names import DELETED_TOPIC
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings

TOPIC = "projects/p/topics/top"
SUBSCRIPTION = "projects/p/subscriptions/sub"
OTHER = "projects/p/subscriptions/other"


class Wakes:
    """Counts how often a consumer was woken."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_a_message_arrives_with_its_content_its_id_and_the_time(bench):
    bench.subscribe()
    (message_id,) = bench.publish("hello", key="k", color="red")
    (delivered,) = bench.pull()
    assert delivered.message.message_id == message_id
    assert delivered.message.publish_time == bench.now
    assert delivered.message.content == Draft(b"hello", {"color": "red"}, "k")


def test_a_subscription_gets_what_is_published_after_its_creation(bench):
    bench.publish("before")
    bench.subscribe()
    bench.publish("after")
    assert bench.texts() == ["after"]


def test_every_subscription_gets_every_message(bench):
    bench.subscribe()
    bench.subscribe(OTHER)
    bench.publish("a", "b")
    bench.ack(*bench.pull())
    assert bench.texts(OTHER) == ["a", "b"]


def test_a_leased_message_is_not_delivered_again_until_its_lease_ends(bench):
    bench.subscribe(ack_deadline_seconds=10)
    bench.publish("a")
    (first,) = bench.pull()
    bench.advance(9.9)
    assert bench.pull() == []
    bench.advance(0.1)
    (second,) = bench.pull()
    assert second.message == first.message
    assert second.ack_id != first.ack_id


def test_a_lease_can_be_made_longer_or_shorter(bench):
    bench.subscribe()
    bench.publish("a")
    (delivered,) = bench.pull()
    bench.modify(600, delivered)
    bench.advance(599)
    assert bench.pull() == []
    bench.modify(2, delivered)
    bench.advance(2)
    assert bench.texts() == ["a"]


def test_a_message_given_back_is_delivered_at_once(bench):
    bench.subscribe()
    bench.publish("a")
    bench.modify(0, *bench.pull())
    assert bench.texts() == ["a"]


def test_an_acknowledgement_after_the_lease_still_counts(bench):
    bench.subscribe()
    bench.publish("a")
    late = bench.pull()
    bench.advance(10)
    bench.ack(*late)
    assert bench.pull() == []


def test_an_acknowledgement_may_be_repeated(bench):
    bench.subscribe()
    bench.publish("a", "b")
    first, _ = bench.pull()
    bench.ack(first, first)
    bench.ack(first)
    bench.advance(10)
    assert bench.texts() == ["b"]


@pytest.mark.parametrize("seconds", [0, 600])
def test_the_ack_id_of_an_ended_lease_does_not_touch_the_next(bench, seconds):
    bench.subscribe()
    bench.publish("a")
    ended = bench.pull()
    bench.advance(10)
    bench.pull()
    bench.modify(seconds, *ended)
    assert bench.pull() == []
    bench.advance(10)
    assert bench.texts() == ["a"]


def test_one_bad_ack_id_leaves_the_others_alone(bench):
    bench.subscribe()
    bench.publish("a")
    (delivered,) = bench.pull()
    with pytest.raises(InvalidArgument, match="invalid ack ID"):
        bench.broker.acknowledge(SUBSCRIPTION, [delivered.ack_id, "nonsense"])
    with pytest.raises(InvalidArgument, match="invalid ack ID"):
        bench.broker.modify_ack_deadlines(SUBSCRIPTION, [(delivered.ack_id, 0), ("nonsense", 0)])
    assert bench.pull() == []
    bench.advance(10)
    assert bench.texts() == ["a"]


def test_an_ack_id_of_another_subscription_is_refused(bench):
    bench.subscribe()
    bench.subscribe(OTHER)
    bench.publish("a")
    delivered = bench.pull()
    with pytest.raises(InvalidArgument, match="does not belong"):
        bench.ack(*delivered, name=OTHER)


def test_a_new_subscription_of_the_same_name_knows_no_old_ack_ids(bench):
    bench.subscribe()
    bench.publish("a")
    delivered = bench.pull()
    bench.broker.catalog.delete_subscription(SUBSCRIPTION)
    bench.subscribe()
    with pytest.raises(InvalidArgument, match="does not belong"):
        bench.ack(*delivered)


@pytest.mark.parametrize("seconds", [-1, 601])
def test_a_lease_cannot_be_set_beyond_the_limits(bench, seconds):
    bench.subscribe()
    bench.publish("a")
    delivered = bench.pull()
    with pytest.raises(InvalidArgument, match="ack deadline"):
        bench.modify(seconds, *delivered)


@pytest.mark.parametrize("seconds", [9, 601, -10])
def test_a_subscription_keeps_the_limits_of_its_deadline(bench, seconds):
    with pytest.raises(InvalidArgument, match="ack deadline"):
        bench.subscribe(ack_deadline_seconds=seconds)
    bench.subscribe()
    with pytest.raises(InvalidArgument, match="ack deadline"):
        bench.broker.catalog.update_subscription(
            SUBSCRIPTION, SubscriptionSettings(ack_deadline_seconds=seconds)
        )


def test_a_changed_deadline_is_for_later_leases(bench):
    bench.subscribe()
    bench.publish("a")
    bench.pull()
    bench.broker.catalog.update_subscription(
        SUBSCRIPTION, SubscriptionSettings(ack_deadline_seconds=600)
    )
    bench.advance(10)
    bench.pull()
    bench.advance(599)
    assert bench.pull() == []


def test_a_consumer_gets_no_more_than_it_may_hold(bench):
    bench.subscribe()
    bench.publish(*"abcd")
    wakes = Wakes()
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(messages=2), wakes) as receiver:
        first, _ = receiver.take()
        assert receiver.take() == []
        woken = wakes.count
        bench.ack(first)
        assert wakes.count == woken + 1
        assert [one.message.content.data for one in receiver.take()] == [b"c"]


def test_bytes_may_be_exceeded_by_the_last_message_only(bench):
    bench.subscribe()
    bench.publish("12345", "123456789", "1")
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(bytes=6), Wakes()) as receiver:
        assert [one.message.size for one in receiver.take()] == [5, 9]
        assert receiver.take() == []


def test_an_expired_lease_makes_room(bench):
    bench.subscribe()
    bench.publish(*"ab")
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(messages=1), Wakes()) as receiver:
        receiver.take()
        bench.advance(10)
        assert len(receiver.take()) == 1


def test_consumers_share_what_there_is(bench):
    bench.subscribe()
    with ExitStack() as stack:
        receivers = [
            stack.enter_context(bench.broker.receive(SUBSCRIPTION, FlowLimits(), Wakes()))
            for _ in range(4)
        ]
        bench.publish(*"abcdefgh")
        assert [len(receiver.take()) for receiver in receivers] == [2, 2, 1, 1]


def test_consumers_are_woken_while_they_stay(bench):
    bench.subscribe()
    wakes = Wakes()
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(), wakes) as receiver:
        bench.publish("a")
        assert wakes.count == 1
        (delivered,) = receiver.take()
        bench.modify(0, delivered)
        assert wakes.count == 2
        receiver.take()
        bench.advance(10)
        assert wakes.count == 3
    bench.publish("b")
    assert wakes.count == 3


def test_what_a_gone_consumer_held_returns_with_its_lease(bench):
    bench.subscribe()
    bench.publish("a")
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(), Wakes()) as receiver:
        receiver.take()
    assert bench.pull() == []
    bench.advance(10)
    assert bench.texts() == ["a"]


def test_neither_new_messages_nor_returned_ones_starve_the_other(bench):
    bench.subscribe()
    bench.publish(*"abcd")
    bench.modify(0, *bench.pull())
    bench.publish(*"efgh")
    assert sorted(bench.texts(limit=4)) == ["a", "b", "e", "f"]


def test_a_long_skip_is_done_in_turns(bench):
    bench.subscribe(filter='attributes.color = "red"')
    for _ in range(STEPS_PER_TURN // 1000):
        bench.publish(*["x"] * 1000, color="blue")
    bench.publish("found", color="red")
    wakes = Wakes()
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(), wakes) as receiver:
        assert (receiver.take(), wakes.count) == ([], 1)
        assert len(receiver.take()) == 1


def test_many_leases_expire_in_turns(bench):
    bench.subscribe()
    for _ in range(2):
        bench.publish(*["x"] * EXPIRED_PER_TURN)
    while bench.pull():
        pass
    bench.now += 10 * SECOND
    bench.broker.run_due()
    assert len(bench.pull()) == EXPIRED_PER_TURN
    assert bench.broker.next_due() == bench.now


def test_the_timer_is_called_for_an_earlier_lease_only(bench):
    bench.subscribe()
    bench.publish(*"ab")
    bench.pull(limit=1)
    assert bench.timer_calls == 1
    bench.advance(1)
    (later,) = bench.pull(limit=1)
    assert bench.timer_calls == 1
    bench.modify(1, later)
    assert bench.timer_calls == 2


def test_a_deleted_topic_leaves_the_backlog_and_its_mark(bench):
    bench.subscribe()
    bench.publish("a")
    bench.broker.catalog.delete_topic(TOPIC)
    bench.broker.catalog.create_topic(TOPIC, TopicSettings())
    bench.publish("of the new topic")
    assert bench.broker.catalog.subscription(SUBSCRIPTION).topic.name == DELETED_TOPIC
    assert bench.broker.catalog.topic(TOPIC).subscriptions == {}
    assert bench.texts() == ["a"]


def test_a_deleted_subscription_turns_its_consumers_away(bench):
    bench.subscribe()
    bench.publish("a")
    wakes = Wakes()
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(), wakes) as receiver:
        bench.broker.catalog.delete_subscription(SUBSCRIPTION)
        assert wakes.count == 1
        with pytest.raises(NotFound):
            receiver.take()
    assert bench.broker.catalog.topic(TOPIC).subscriptions == {}


@pytest.mark.parametrize("ordered", [False, True])
def test_a_detached_subscription_drops_all_and_delivers_no_more(bench, ordered):
    bench.subscribe(enable_message_ordering=ordered)
    bench.publish(*"ab", key="k")
    first, second = bench.pull()
    bench.modify(0, second)
    bench.broker.catalog.detach_subscription(SUBSCRIPTION)
    bench.advance(30)
    bench.ack(first, second)
    bench.modify(0, first, second)
    assert bench.broker.catalog.subscription(SUBSCRIPTION).detached
    assert bench.broker.catalog.topic(TOPIC).subscriptions == {}
    with pytest.raises(FailedPrecondition, match="detached"):
        bench.pull()


def test_names_are_taken_once(bench):
    bench.subscribe()
    with pytest.raises(AlreadyExists):
        bench.subscribe()
    with pytest.raises(AlreadyExists):
        bench.broker.catalog.create_topic(TOPIC, TopicSettings())


def test_what_does_not_exist_is_not_found(bench):
    catalog = bench.broker.catalog
    for call in (
        lambda: catalog.topic("projects/p/topics/none"),
        lambda: catalog.delete_topic("projects/p/topics/none"),
        lambda: catalog.subscription(SUBSCRIPTION),
        lambda: catalog.delete_subscription(SUBSCRIPTION),
        lambda: catalog.create_subscription(
            SUBSCRIPTION, "projects/p/topics/none", SubscriptionSettings()
        ),
        lambda: bench.broker.publish("projects/p/topics/none", [Draft(b"a", {}, "")]),
        lambda: bench.broker.acknowledge(SUBSCRIPTION, []),
        bench.pull,
    ):
        with pytest.raises(NotFound, match=r"Resource not found \(resource=projects/p/"):
            call()


def test_a_project_has_its_own_resources_only(bench):
    catalog = bench.broker.catalog
    for name in ("projects/p/topics/abc", "projects/p2/topics/abc"):
        catalog.create_topic(name, TopicSettings())
    assert [topic.name for topic in catalog.topics("projects/p")] == [
        "projects/p/topics/abc",
        TOPIC,
    ]


def test_a_long_backlog_is_freed_in_one_go(bench):
    """A chain of this length must not be freed by recursion."""
    bench.subscribe()
    for _ in range(100):
        bench.publish(*["x"] * 1000)
    bench.broker.catalog.delete_subscription(SUBSCRIPTION)
    bench.subscribe()
    bench.publish("a")
    assert bench.texts() == ["a"]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("key", ["", "k"])
def test_a_response_has_a_size_that_clients_take(bench, ordered, key):
    bench.subscribe(enable_message_ordering=ordered)
    texts = [f"{number}" * 1_500_000 for number in range(5)]
    bench.publish(*texts, key=key)
    received = []
    while taken := bench.pull():
        assert len(taken) <= 2
        received += [one.message.content.data.decode() for one in taken]
        bench.ack(*taken)
    assert received == texts


@pytest.mark.parametrize("key", ["", "k"])
def test_a_message_that_fits_in_no_response_comes_alone(bench, key):
    bench.subscribe(enable_message_ordering=True)
    bench.publish("small", key=key)
    bench.publish("x" * (DELIVERED_BYTES + 1), key=key)
    bench.publish("small", key=key)
    sizes = []
    for _ in range(3):
        taken = bench.pull()
        sizes.append([one.message.size > DELIVERED_BYTES for one in taken])
        bench.ack(*taken)
    assert sizes == [[False], [True], [False]]


def test_a_large_message_is_not_put_off_forever(bench):
    bench.subscribe()
    bench.publish("small", "x" * (DELIVERED_BYTES + 1))
    for _ in range(2):
        bench.publish(*["small"] * 3)
        last = bench.pull()
    assert [one.message.size > DELIVERED_BYTES for one in last] == [True]
