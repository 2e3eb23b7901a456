"""A store that cannot keep anything: whatever is asked fails, and nothing has changed."""

from collections.abc import Callable

import pytest

from tf_dataflow_serving.services.pubsub import serials
from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.errors import StorageFailed
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    SubscriptionSettings,
    TopicSettings,
)
from tf_dataflow_serving.services.pubsub.store.interface import Store

TOPIC = "projects/p/topics/top"
SUBSCRIPTION = "projects/p/subscriptions/sub"
SNAPSHOT = "projects/p/snapshots/snap"
NOW = 10**6 * SECOND


class Disk(Store):
    """Keeps nothing, and once it is full says so whatever it is asked."""

    full = False

    def __getattribute__(self, name: str):
        found = super().__getattribute__(name)
        if name.startswith("__") or not callable(found):
            return found

        def call(*arguments, **named):
            if self.full:
                raise StorageFailed("The disk is full.")
            return found(*arguments, **named)

        return call


class Full:
    """A broker with a message that is out and one that waits, whose disk is full."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.now = NOW
        self.broker = Broker(lambda: self.now, lambda: None, self.disk)
        self.broker.catalog.create_topic(TOPIC, TopicSettings())
        settings = SubscriptionSettings(
            retain_acked_messages=True, dead_letter_policy=DeadLetterPolicy(TOPIC, 5)
        )
        self.broker.catalog.create_subscription(SUBSCRIPTION, TOPIC, settings)
        self.broker.publish(TOPIC, [Draft(b"a", {}, ""), Draft(b"b", {}, "")])
        self.broker.snapshots.create(SNAPSHOT, self.subscription, {})
        self.held = self.take(1)
        self.disk.full = True

    @property
    def subscription(self):
        return self.broker.catalog.subscription(SUBSCRIPTION)

    def take(self, limit: int | None = None) -> list[Delivered]:
        with self.broker.receive(SUBSCRIPTION, FlowLimits(limit), lambda: None) as receiver:
            return receiver.take()

    def state(self) -> tuple:
        """All that a failed operation might have changed."""
        return (
            [topic.record for topic in self.broker.catalog.all_topics()],
            [one.record for one in self.broker.catalog.all_subscriptions()],
            [one.record for one in self.broker.snapshots.all()],
            self.subscription.backlog.size(),
        )


@pytest.fixture
def full() -> Full:
    return Full()


CHANGES: list[Callable[[Full], object]] = [
    lambda full: full.broker.publish(TOPIC, [Draft(b"c", {}, "")]),
    lambda full: full.broker.acknowledge(SUBSCRIPTION, [full.held[0].ack_id]),
    lambda full: full.broker.seek_to_time(SUBSCRIPTION, NOW + SECOND),
    lambda full: full.broker.seek_to_snapshot(SUBSCRIPTION, SNAPSHOT),
    lambda full: full.broker.clear(),
    lambda full: full.broker.catalog.create_topic(f"{TOPIC}-2", TopicSettings()),
    lambda full: full.broker.catalog.update_topic(TOPIC, TopicSettings({"a": "b"})),
    lambda full: full.broker.catalog.delete_topic(TOPIC),
    lambda full: full.broker.catalog.create_subscription(
        f"{SUBSCRIPTION}-2", TOPIC, SubscriptionSettings()
    ),
    lambda full: full.broker.catalog.update_subscription(SUBSCRIPTION, SubscriptionSettings(20)),
    lambda full: full.broker.catalog.detach_subscription(SUBSCRIPTION),
    lambda full: full.broker.catalog.delete_subscription(SUBSCRIPTION),
    lambda full: full.broker.snapshots.create(f"{SNAPSHOT}-2", full.subscription, {}),
    lambda full: full.broker.snapshots.update(SNAPSHOT, {"a": "b"}, NOW + SECOND),
    lambda full: full.broker.snapshots.delete(SNAPSHOT),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_kept_is_not_done(full, change):
    before = full.state()
    with pytest.raises(StorageFailed):
        change(full)
    assert full.state() == before


def test_messages_go_out_and_come_back_all_the_same(full):
    (second,) = full.take()
    full.broker.modify_ack_deadlines(SUBSCRIPTION, [(second.ack_id, 0)])
    assert [one.message for one in full.take()] == [second.message]


def test_a_dead_letter_that_cannot_be_kept_is_delivered_again(full):
    for _ in range(7):
        (delivered,) = full.take()
        full.broker.modify_ack_deadlines(SUBSCRIPTION, [(delivered.ack_id, 0)])
    assert [one.message.content.data for one in full.take()] == [b"b"]


@pytest.fixture
def each_number_reserved(monkeypatch) -> None:
    """No number is to be had without the disk."""
    monkeypatch.setattr(serials, "BLOCK", 1)


@pytest.mark.usefixtures("each_number_reserved")
def test_a_message_that_cannot_be_given_a_lease_stays():
    full = Full()
    with pytest.raises(StorageFailed):
        full.take()
    full.disk.full = False
    assert [one.message.content.data for one in full.take()] == [b"b"]


@pytest.mark.usefixtures("each_number_reserved")
def test_a_dead_letter_that_cannot_be_given_a_number_is_delivered_again():
    full = Full()
    full.disk.full = False
    for attempt in range(1, 6):
        (delivered,) = full.take()
        full.disk.full = attempt == 5
        full.broker.modify_ack_deadlines(SUBSCRIPTION, [(delivered.ack_id, 0)])
    full.disk.full = False
    assert [one.message.content.data for one in full.take()] == [b"b"]


def test_the_broker_goes_on_after_an_upkeep_that_failed(full):
    full.now += 60 * SECOND
    with pytest.raises(StorageFailed):
        while full.broker.next_due() <= full.now:
            full.broker.run_due()
    full.disk.full = False
    while full.broker.next_due() <= full.now:
        full.broker.run_due()
    assert {one.message.content.data for one in full.take()} == {b"a", b"b"}
