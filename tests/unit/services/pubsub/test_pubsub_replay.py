"""Retention, seeks and snapshots."""

import pytest

from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.pubsub.names import DELETED_TOPIC
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings

TOPIC = "projects/p/topics/top"
SUBSCRIPTION = "projects/p/subscriptions/sub"
SNAPSHOT = "projects/p/snapshots/snap"
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def ignore_wake() -> None:
    """Nobody waits here."""


def publish_each_minute(bench, texts: str) -> None:
    for text in texts:
        bench.publish(text)
        bench.advance(MINUTE)


def acknowledge_all(bench, name: str = SUBSCRIPTION) -> None:
    while delivered := bench.pull(name):
        bench.ack(*delivered, name=name)


def seek(bench, seconds_ago: float, name: str = SUBSCRIPTION) -> None:
    bench.broker.seek_to_time(name, bench.now - int(seconds_ago * SECOND))


def snapshot(bench, name: str = SNAPSHOT, of: str = SUBSCRIPTION):
    return bench.broker.snapshots.create(name, bench.broker.catalog.subscription(of), {})


def retain(bench, seconds: int | None) -> None:
    retention = None if seconds is None else seconds * SECOND
    bench.broker.catalog.update_topic(TOPIC, TopicSettings(retention=retention))


@pytest.mark.parametrize("pulled", [False, True])
def test_a_message_is_dropped_at_the_end_of_its_retention(bench, pulled):
    bench.subscribe(retention=10 * MINUTE * SECOND)
    publish_each_minute(bench, "ab")
    if pulled:
        bench.modify(0, *bench.pull())
    bench.advance(8 * MINUTE + 1)
    assert bench.texts() == ["b"]


def test_a_message_out_longer_than_its_retention_can_be_acknowledged_but_does_not_return(bench):
    bench.subscribe(retention=10 * MINUTE * SECOND, ack_deadline_seconds=600)
    bench.publish("a")
    bench.advance(1)
    bench.publish("b")
    first, second = bench.pull()
    bench.modify(600, first, second)
    bench.advance(10 * MINUTE)
    assert bench.broker.catalog.subscription(SUBSCRIPTION).backlog.size().out == 0
    assert bench.texts() == ["b"]


def test_the_retention_of_the_topic_counts_if_it_is_longer(bench):
    retain(bench, HOUR)
    bench.subscribe(retention=10 * MINUTE * SECOND)
    bench.publish("a")
    bench.advance(30 * MINUTE)
    assert bench.texts() == ["a"]


@pytest.mark.parametrize("seconds", [599, 31 * DAY + 1])
def test_retention_has_bounds(bench, seconds):
    with pytest.raises(InvalidArgument, match="message_retention_duration"):
        bench.subscribe(retention=seconds * SECOND)
    with pytest.raises(InvalidArgument, match="message_retention_duration"):
        retain(bench, seconds)


def test_a_seek_back_delivers_what_was_acknowledged_and_is_retained(bench):
    bench.subscribe(retain_acked_messages=True)
    publish_each_minute(bench, "abc")
    acknowledge_all(bench)
    assert bench.texts() == []
    seek(bench, 2 * MINUTE)
    assert bench.texts() == ["b", "c"]


def test_a_seek_back_delivers_no_more_than_is_retained(bench):
    bench.subscribe(retain_acked_messages=True, retention=10 * MINUTE * SECOND)
    publish_each_minute(bench, "abc")
    acknowledge_all(bench)
    bench.advance(8 * MINUTE + 1)
    seek(bench, DAY)
    assert bench.texts() == ["c"]


def test_without_retention_a_seek_back_delivers_only_what_is_not_acknowledged(bench):
    bench.subscribe()
    publish_each_minute(bench, "abc")
    first, *_ = bench.pull()
    bench.ack(first)
    seek(bench, DAY)
    assert bench.texts() == ["b", "c"]


def test_a_topic_retains_messages_for_subscriptions_made_later(bench):
    retain(bench, HOUR)
    publish_each_minute(bench, "abc")
    bench.subscribe()
    assert bench.texts() == []
    seek(bench, 2 * MINUTE)
    assert bench.texts() == ["b", "c"]


def test_a_deleted_topic_retains_nothing(bench):
    retain(bench, HOUR)
    bench.subscribe()
    publish_each_minute(bench, "ab")
    acknowledge_all(bench)
    bench.broker.catalog.delete_topic(TOPIC)
    seek(bench, DAY)
    assert bench.texts() == []


def test_an_ack_id_from_before_a_seek_acknowledges_nothing(bench):
    bench.subscribe(retain_acked_messages=True)
    bench.publish("a")
    held = bench.pull()
    seek(bench, HOUR)
    bench.ack(*held)
    assert bench.texts() == ["a"]


def test_many_messages_past_their_retention_are_gone_once_all_that_is_due_was_done(bench):
    bench.subscribe(retention=10 * MINUTE * SECOND)
    for _ in range(25):
        bench.publish(*"a" * 1_000)
    while bench.pull():
        continue
    bench.advance(11 * MINUTE)
    assert bench.broker.catalog.subscription(SUBSCRIPTION).backlog.size() == (0, 0)


def test_a_topic_that_retains_no_more_gives_nothing_back(bench):
    retain(bench, HOUR)
    bench.subscribe()
    publish_each_minute(bench, "ab")
    acknowledge_all(bench)
    retain(bench, None)
    seek(bench, DAY)
    assert bench.texts() == []


def test_a_seek_forward_acknowledges(bench):
    bench.subscribe()
    publish_each_minute(bench, "abc")
    held = bench.pull(limit=1)
    seek(bench, MINUTE)
    assert bench.texts() == ["c"]
    bench.modify(0, *held)
    assert bench.texts() == []


def test_a_seek_into_the_future_acknowledges_everything_published_until_now(bench):
    bench.subscribe()
    bench.publish("a")
    seek(bench, -HOUR)
    bench.publish("b")
    assert bench.texts() == ["b"]


def test_a_seek_ends_leases_and_wakes_those_who_wait(bench):
    bench.subscribe(retain_acked_messages=True)
    bench.publish("a")
    held = bench.pull()
    seek(bench, HOUR)
    (again,) = bench.pull()
    assert again.message == held[0].message
    bench.modify(600, *held)
    bench.advance(10)
    assert bench.texts() == ["a"]


def test_a_seek_keeps_the_order_of_keys(bench):
    bench.subscribe(enable_message_ordering=True, retain_acked_messages=True)
    bench.publish(*"abc", key="k")
    first, *_ = bench.pull()
    bench.ack(first)
    seek(bench, HOUR)
    assert bench.texts(limit=1) == ["a"]
    assert bench.texts() == []


def test_a_seek_keeps_to_the_filter(bench):
    bench.subscribe(filter="attributes:red", retain_acked_messages=True)
    bench.publish("a", red="1")
    bench.publish("b")
    acknowledge_all(bench)
    seek(bench, HOUR)
    assert bench.texts() == ["a"]


def test_a_snapshot_holds_what_is_owed_and_what_comes_after(bench):
    bench.subscribe()
    publish_each_minute(bench, "abc")
    first, *_ = bench.pull(limit=2)
    bench.ack(first)
    snapshot(bench)
    bench.publish("d")
    bench.advance(10)
    acknowledge_all(bench)
    bench.broker.seek_to_snapshot(SUBSCRIPTION, SNAPSHOT)
    assert sorted(bench.texts()) == ["b", "c", "d"]


def test_a_snapshot_can_be_sought_more_than_once_and_by_other_subscriptions(bench):
    bench.subscribe()
    bench.publish("a")
    snapshot(bench)
    other = bench.subscribe("projects/p/subscriptions/other")
    for name in (SUBSCRIPTION, other, SUBSCRIPTION):
        bench.broker.seek_to_snapshot(name, SNAPSHOT)
        assert bench.texts(name) == ["a"]


def test_a_snapshot_of_another_topic_is_refused(bench):
    bench.subscribe()
    snapshot(bench)
    bench.broker.catalog.create_topic(f"{TOPIC}-2", TopicSettings())
    other = "projects/p/subscriptions/other"
    bench.broker.catalog.create_subscription(other, f"{TOPIC}-2", SubscriptionSettings())
    with pytest.raises(FailedPrecondition, match="topic"):
        bench.broker.seek_to_snapshot(other, SNAPSHOT)


def test_a_snapshot_lives_seven_days_less_the_age_of_its_oldest_message(bench):
    bench.subscribe()
    bench.publish("a")
    published = bench.now
    bench.advance(3 * DAY)
    assert snapshot(bench).record.expire_time == published + 7 * DAY * SECOND
    bench.advance(4 * DAY - 1)
    assert bench.broker.snapshots.get(SNAPSHOT)
    bench.advance(1)
    with pytest.raises(NotFound):
        bench.broker.snapshots.get(SNAPSHOT)


def test_what_a_filter_rejects_does_not_shorten_the_life_of_a_snapshot(bench):
    bench.subscribe(filter="attributes:red", retention=8 * DAY * SECOND)
    bench.publish("a")
    bench.advance(7 * DAY)
    assert snapshot(bench).record.expire_time == bench.now + 7 * DAY * SECOND


def test_a_snapshot_that_would_expire_within_the_hour_is_refused(bench):
    bench.subscribe(retention=8 * DAY * SECOND)
    bench.publish("a")
    bench.advance(7 * DAY - HOUR + 1)
    with pytest.raises(FailedPrecondition, match="1 hour"):
        snapshot(bench)


def test_snapshots_are_listed_changed_and_deleted(bench):
    bench.subscribe()
    for name in ("snap-2", "snap-1"):
        snapshot(bench, f"projects/p/snapshots/{name}")
    snapshots, topic = bench.broker.snapshots, bench.broker.catalog.topic(TOPIC)
    names = ["projects/p/snapshots/snap-1", "projects/p/snapshots/snap-2"]
    assert [one.name for one in snapshots.of_project("projects/p")] == names
    assert [one.name for one in snapshots.of_topic(topic)] == names
    changed = snapshots.update(names[0], {"a": "b"}, bench.now + HOUR * SECOND)
    assert snapshots.get(names[0]) is changed
    assert changed.record.labels == {"a": "b"}
    bench.advance(HOUR)
    assert [one.name for one in snapshots.of_project("projects/p")] == names[1:]
    snapshots.delete(names[1])
    with pytest.raises(NotFound):
        snapshots.delete(names[1])


@pytest.mark.parametrize("seconds", [0, 7 * DAY + 1])
def test_the_expiry_of_a_snapshot_has_bounds(bench, seconds):
    bench.subscribe()
    snapshot(bench)
    with pytest.raises(InvalidArgument, match="expire_time"):
        bench.broker.snapshots.update(SNAPSHOT, {}, bench.now + seconds * SECOND)


def test_a_snapshot_outlives_its_subscription_and_its_topic(bench):
    bench.subscribe()
    other = bench.subscribe("projects/p/subscriptions/other")
    bench.publish("a")
    made = snapshot(bench)
    bench.broker.catalog.delete_subscription(SUBSCRIPTION)
    bench.broker.catalog.delete_topic(TOPIC)
    assert made.topic.name == DELETED_TOPIC
    acknowledge_all(bench, other)
    bench.broker.seek_to_snapshot(other, SNAPSHOT)
    assert bench.texts(other) == ["a"]


def test_snapshot_names_are_taken_once(bench):
    bench.subscribe()
    snapshot(bench)
    with pytest.raises(AlreadyExists):
        snapshot(bench)
    with pytest.raises(InvalidArgument, match="name"):
        snapshot(bench, "projects/p/snapshots/1")
    with pytest.raises(NotFound):
        bench.broker.seek_to_snapshot(SUBSCRIPTION, f"{SNAPSHOT}-2")


def test_a_detached_subscription_neither_seeks_nor_is_kept_in_a_snapshot(bench):
    bench.subscribe()
    snapshot(bench)
    bench.broker.catalog.detach_subscription(SUBSCRIPTION)
    with pytest.raises(FailedPrecondition, match="detached"):
        seek(bench, 0)
    with pytest.raises(FailedPrecondition, match="detached"):
        bench.broker.seek_to_snapshot(SUBSCRIPTION, SNAPSHOT)
    with pytest.raises(FailedPrecondition, match="detached"):
        snapshot(bench, f"{SNAPSHOT}-2")


def test_a_subscription_that_nobody_uses_expires(bench):
    bench.subscribe(expiration=DAY * SECOND, retention=DAY * SECOND)
    bench.advance(DAY - 1)
    bench.pull()
    bench.advance(DAY - 1)
    assert bench.broker.catalog.subscription(SUBSCRIPTION)
    bench.advance(20)
    with pytest.raises(NotFound):
        bench.pull()


def test_a_subscription_with_a_stream_is_in_use_until_the_stream_ends(bench):
    bench.subscribe(expiration=DAY * SECOND, retention=DAY * SECOND)
    with bench.broker.receive(SUBSCRIPTION, FlowLimits(), ignore_wake):
        bench.advance(2 * DAY)
    bench.advance(DAY - 20)
    assert bench.broker.catalog.subscription(SUBSCRIPTION)
    bench.advance(40)
    with pytest.raises(NotFound):
        bench.pull()


def test_an_expiration_is_no_less_than_a_day_or_the_retention(bench):
    for expiration, retention in ((DAY - 1, HOUR), (2 * DAY, 3 * DAY)):
        with pytest.raises(InvalidArgument, match="ttl"):
            bench.subscribe(expiration=expiration * SECOND, retention=retention * SECOND)


def test_clearing_drops_the_backlog_and_nothing_else(bench):
    bench.subscribe()
    other = bench.subscribe("projects/p/subscriptions/other")
    bench.publish("a", "b")
    bench.pull(limit=1)
    bench.broker.clear(SUBSCRIPTION)
    bench.publish("c")
    assert bench.texts() == ["c"]
    assert bench.texts(other) == ["a", "b", "c"]
    bench.broker.clear()
    bench.advance(10)
    assert bench.texts(other) == []
