"""What a broker with a data directory keeps there, and what it lets go of."""

from collections.abc import Iterator

import pytest

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.errors import NotFound
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    SubscriptionSettings,
    TopicSettings,
)
from tf_dataflow_serving.services.pubsub.store.sqlite import SqliteStore
from tf_dataflow_serving.services.pubsub.upkeep import INTERVAL, RESOURCES_PER_TURN

TOPIC = "projects/p/topics/top"
SUBSCRIPTION = "projects/p/subscriptions/sub"
SNAPSHOT = "projects/p/snapshots/snap"
HOUR = 3_600 * SECOND


class Kept:
    """A broker whose process comes and goes."""

    def __init__(self, directory) -> None:
        self.now = 1_000 * SECOND
        self._directory = directory
        self._open()

    def _open(self) -> None:
        self.store = SqliteStore(self._directory)
        self.now = max(self.now, self.store.latest_time())
        self.broker = Broker(lambda: self.now, lambda: None, self.store)

    def restart(self) -> None:
        self.store.close()
        self._open()

    def publish(self, *texts: str) -> None:
        self.broker.publish(TOPIC, [Draft(text.encode(), {}, "") for text in texts])

    def texts(self) -> list[str]:
        """Pull and acknowledge everything."""
        with self.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver:
            taken = receiver.take()
        self.broker.acknowledge(SUBSCRIPTION, [one.ack_id for one in taken])
        return [one.message.content.data.decode() for one in taken]

    def pass_time(self, duration: int = INTERVAL) -> None:
        self.now += duration
        self.broker.run_due()

    def stored(self) -> list[str]:
        """What is in the data directory."""
        messages = self.store.load().messages.values()
        return [one.content.data.decode() for several in messages for one in several]


@pytest.fixture
def kept(tmp_path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "data")
    kept.broker.catalog.create_topic(TOPIC, TopicSettings())
    yield kept
    kept.store.close()


def subscribe(kept, **settings) -> None:
    kept.broker.catalog.create_subscription(SUBSCRIPTION, TOPIC, SubscriptionSettings(**settings))


def snapshot(kept) -> None:
    subscription = kept.broker.catalog.subscription(SUBSCRIPTION)
    kept.broker.snapshots.create(SNAPSHOT, subscription, {})


def test_what_is_acknowledged_everywhere_is_deleted(kept):
    subscribe(kept)
    kept.publish("a", "b")
    assert kept.texts() == ["a", "b"]
    kept.publish("c")
    kept.pass_time()
    assert kept.stored() == ["c"]
    kept.restart()
    assert kept.texts() == ["c"]


def test_what_nobody_subscribes_to_is_deleted(kept):
    kept.publish("a")
    kept.pass_time()
    assert kept.stored() == []


def test_what_a_subscription_retains_stays_until_its_time_is_over(kept):
    subscribe(kept, retain_acked_messages=True, retention=HOUR)
    kept.publish("a")
    assert kept.texts() == ["a"]
    kept.pass_time()
    kept.restart()
    kept.broker.seek_to_time(SUBSCRIPTION, 0)
    assert kept.texts() == ["a"]
    kept.pass_time(HOUR)
    assert kept.stored() == []


def test_what_a_topic_retains_stays_until_its_time_is_over(kept):
    kept.broker.catalog.update_topic(TOPIC, TopicSettings(retention=HOUR))
    kept.publish("a")
    kept.pass_time()
    kept.restart()
    subscribe(kept)
    kept.broker.seek_to_time(SUBSCRIPTION, 0)
    assert kept.texts() == ["a"]
    kept.pass_time(HOUR)
    assert kept.stored() == []


def test_what_a_snapshot_holds_stays_as_long_as_it_does(kept):
    subscribe(kept)
    kept.publish("a")
    snapshot(kept)
    kept.publish("b")
    assert kept.texts() == ["a", "b"]
    kept.pass_time()
    kept.restart()
    kept.broker.seek_to_snapshot(SUBSCRIPTION, SNAPSHOT)
    assert kept.texts() == ["a", "b"]
    kept.broker.snapshots.delete(SNAPSHOT)
    kept.pass_time()
    assert kept.stored() == []


def test_what_is_past_its_retention_is_deleted_though_nobody_pulled_it(kept):
    subscribe(kept, retention=HOUR)
    kept.publish("a")
    kept.pass_time(HOUR + SECOND)
    assert kept.stored() == []


def test_a_seek_counts_after_a_restart(kept):
    subscribe(kept)
    kept.publish("a")
    kept.now += SECOND
    kept.publish("b")
    kept.broker.seek_to_time(SUBSCRIPTION, kept.now)
    kept.restart()
    assert kept.texts() == ["b"]


def test_resources_and_their_settings_are_there_after_a_restart(kept):
    settings = SubscriptionSettings(ack_deadline_seconds=77, enable_message_ordering=True)
    kept.broker.catalog.create_subscription(SUBSCRIPTION, TOPIC, settings)
    kept.broker.catalog.update_topic(TOPIC, TopicSettings({"a": "b"}))
    snapshot(kept)
    record = kept.broker.snapshots.get(SNAPSHOT).record
    kept.restart()
    assert kept.broker.catalog.topic(TOPIC).settings == TopicSettings({"a": "b"})
    assert kept.broker.catalog.subscription(SUBSCRIPTION).settings == settings
    assert kept.broker.snapshots.get(SNAPSHOT).record == record


def test_what_was_deleted_or_detached_is_so_after_a_restart(kept):
    subscribe(kept)
    kept.publish("a")
    kept.broker.catalog.delete_topic(TOPIC)
    kept.broker.catalog.detach_subscription(SUBSCRIPTION)
    kept.restart()
    assert kept.broker.catalog.subscription(SUBSCRIPTION).detached
    with pytest.raises(NotFound):
        kept.broker.catalog.topic(TOPIC)
    kept.broker.catalog.delete_subscription(SUBSCRIPTION)
    kept.restart()
    with pytest.raises(NotFound):
        kept.broker.catalog.subscription(SUBSCRIPTION)


def test_the_backlog_of_a_deleted_topic_survives_it(kept):
    subscribe(kept)
    kept.publish("a")
    kept.broker.catalog.delete_topic(TOPIC)
    kept.broker.catalog.create_topic(TOPIC, TopicSettings())
    kept.publish("to the new topic")
    kept.restart()
    assert kept.texts() == ["a"]


def test_an_ack_id_of_an_earlier_process_acknowledges_its_message(kept):
    subscribe(kept)
    kept.publish("a", "b")
    with kept.broker.receive(SUBSCRIPTION, FlowLimits(1), lambda: None) as receiver:
        (old,) = receiver.take()
    kept.restart()
    kept.broker.acknowledge(SUBSCRIPTION, [old.ack_id])
    assert kept.texts() == ["b"]


def test_an_ack_id_of_an_earlier_process_acknowledges_nothing_else(kept):
    subscribe(kept)
    kept.publish("a")
    with kept.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver:
        (old,) = receiver.take()
    kept.broker.acknowledge(SUBSCRIPTION, [old.ack_id])
    kept.restart()
    kept.publish("b")
    with kept.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver:
        receiver.take()
    kept.broker.acknowledge(SUBSCRIPTION, [old.ack_id])
    kept.pass_time()
    assert kept.texts() == ["b"]


def test_what_a_topic_retained_is_deleted_with_it(kept):
    kept.broker.catalog.update_topic(TOPIC, TopicSettings(retention=HOUR))
    subscribe(kept)
    kept.publish("a", "b")
    with kept.broker.receive(SUBSCRIPTION, FlowLimits(1), lambda: None) as receiver:
        (first,) = receiver.take()
    kept.broker.acknowledge(SUBSCRIPTION, [first.ack_id])
    kept.broker.catalog.delete_topic(TOPIC)
    kept.pass_time()
    assert kept.stored() == ["b"]
    kept.broker.seek_to_time(SUBSCRIPTION, 0)
    kept.restart()
    assert kept.texts() == ["b"]


def test_a_retention_begins_anew_neither_by_a_restart_nor_for_what_was_before(kept):
    subscribe(kept)
    kept.publish("a")
    kept.broker.catalog.update_topic(TOPIC, TopicSettings(retention=HOUR))
    kept.publish("b")
    assert kept.texts() == ["a", "b"]
    for _ in range(2):
        kept.broker.seek_to_time(SUBSCRIPTION, 0)
        assert kept.texts() == ["b"]
        kept.restart()


def test_time_does_not_go_back_behind_what_was_published(kept):
    subscribe(kept, retention=HOUR)
    kept.now += 10 * HOUR
    kept.publish("a")
    kept.now -= 10 * HOUR
    kept.restart()
    kept.publish("b")
    kept.broker.seek_to_time(SUBSCRIPTION, kept.now + SECOND)
    assert kept.texts() == []
    kept.restart()
    assert kept.texts() == []
    kept.pass_time()
    assert kept.stored() == []


def test_no_number_is_given_twice_though_the_clock_is_set_back(kept):
    subscribe(kept)
    kept.publish("a")
    given = set()
    for _ in range(3):
        with kept.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver:
            given |= {one.ack_id for one in receiver.take()}
        kept.now -= HOUR
        kept.restart()
    assert len(given) == 3


def test_a_dead_letter_is_in_one_place_after_a_restart(kept):
    dead, letters = "projects/p/topics/dead", "projects/p/subscriptions/letters"
    kept.broker.catalog.create_topic(dead, TopicSettings())
    kept.broker.catalog.create_subscription(letters, dead, SubscriptionSettings())
    subscribe(kept, dead_letter_policy=DeadLetterPolicy(dead, 5))
    kept.publish("a")
    for _ in range(5):
        with kept.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver:
            (delivered,) = receiver.take()
        kept.broker.modify_ack_deadlines(SUBSCRIPTION, [(delivered.ack_id, 0)])
    kept.restart()
    sizes = {one.name: one.backlog.size() for one in kept.broker.catalog.all_subscriptions()}
    assert sizes == {SUBSCRIPTION: (0, 0), letters: (1, 0)}


def test_many_subscriptions_are_looked_after_in_turns(kept):
    for number in range(3 * RESOURCES_PER_TURN):
        name = f"{SUBSCRIPTION}-{number}"
        settings = SubscriptionSettings(retention=HOUR)
        kept.broker.catalog.create_subscription(name, TOPIC, settings)
    kept.publish("a")
    kept.now += HOUR + SECOND
    turns = 0
    while kept.broker.next_due() <= kept.now:
        kept.broker.run_due()
        turns += 1
    assert turns > 3
    assert kept.stored() == []


def test_a_subscription_deleted_during_a_round_is_no_trouble(kept):
    for number in range(2 * RESOURCES_PER_TURN):
        settings = SubscriptionSettings(retention=HOUR, expiration=24 * HOUR)
        kept.broker.catalog.create_subscription(f"{SUBSCRIPTION}-{number}", TOPIC, settings)
    kept.pass_time(24 * HOUR)
    for subscription in kept.broker.catalog.all_subscriptions():
        kept.broker.catalog.delete_subscription(subscription.name)
    while kept.broker.next_due() <= kept.now:
        kept.broker.run_due()
    assert kept.broker.catalog.all_subscriptions() == []
