"""Messages that come back: delivery attempts, dead letters, and the wait before a retry."""

from dataclasses import replace

import pytest

from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, NotFound
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    RetryPolicy,
    SubscriptionSettings,
    TopicSettings,
)

TOPIC = "projects/p/topics/top"
DEAD = "projects/p/topics/dead"
SUBSCRIPTION = "projects/p/subscriptions/sub"
DEAD_SUBSCRIPTION = "projects/other/subscriptions/dead-sub"
TWICE = RetryPolicy(minimum_backoff=10 * SECOND, maximum_backoff=60 * SECOND)


@pytest.fixture
def dying(bench):
    """A bench whose subscription sends what was delivered five times in vain elsewhere."""
    bench.broker.catalog.create_topic(DEAD, TopicSettings())
    bench.broker.catalog.create_subscription(DEAD_SUBSCRIPTION, DEAD, SubscriptionSettings())
    bench.subscribe(dead_letter_policy=DeadLetterPolicy(DEAD, 5))
    return bench


def give_back(bench, times: int) -> None:
    for _ in range(times):
        bench.modify(0, *bench.pull())


def test_attempts_are_counted_only_with_a_dead_letter_policy(dying):
    other = dying.subscribe("projects/p/subscriptions/other")
    dying.publish("a")
    attempts = []
    for _ in range(3):
        (delivered,) = dying.pull()
        attempts.append(delivered.attempt)
        dying.modify(0, delivered)
    assert attempts == [1, 2, 3]
    assert [delivered.attempt for delivered in dying.pull(other)] == [0]


def test_a_lease_that_ends_counts_as_an_attempt(dying):
    dying.publish("a")
    dying.pull()
    dying.advance(10)
    assert [delivered.attempt for delivered in dying.pull()] == [2]


def test_a_message_delivered_in_vain_too_often_is_a_dead_letter(dying):
    dying.publish("a", key="k", color="red")
    give_back(dying, 4)
    assert dying.texts(DEAD_SUBSCRIPTION) == []
    dying.advance(60)
    give_back(dying, 1)
    assert dying.texts() == []
    (letter,) = dying.pull(DEAD_SUBSCRIPTION)
    assert letter.message.content.data == b"a"
    assert letter.message.content.ordering_key == "k"
    assert letter.message.publish_time == dying.now
    assert letter.message.content.attributes == {
        "color": "red",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "sub",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "1970-01-01T00:16:40.000+00:00",
    }


def test_without_its_topic_a_dead_letter_is_delivered_again(dying):
    dying.publish("a")
    dying.broker.catalog.delete_topic(DEAD)
    give_back(dying, 7)
    assert [delivered.attempt for delivered in dying.pull()] == [8]


def test_a_dead_letter_lets_the_next_of_its_key_go(bench):
    bench.broker.catalog.create_topic(DEAD, TopicSettings())
    bench.subscribe(enable_message_ordering=True, dead_letter_policy=DeadLetterPolicy(DEAD, 5))
    bench.publish("a", "b", key="k")
    for _ in range(5):
        bench.modify(0, *bench.pull(limit=1))
    assert bench.texts() == ["b"]


def test_messages_that_come_back_only_for_the_sake_of_order_die_no_sooner(bench):
    bench.broker.catalog.create_topic(DEAD, TopicSettings())
    bench.subscribe(enable_message_ordering=True, dead_letter_policy=DeadLetterPolicy(DEAD, 5))
    bench.publish("a", "b", key="k")
    for _ in range(4):
        first, _ = bench.pull()
        bench.modify(0, first)
    assert [delivered.attempt for delivered in bench.pull()] == [5, 1]


def test_messages_of_a_key_that_are_given_back_together_count_each(bench):
    bench.broker.catalog.create_topic(DEAD, TopicSettings())
    bench.broker.catalog.create_subscription(DEAD_SUBSCRIPTION, DEAD, SubscriptionSettings())
    bench.subscribe(
        enable_message_ordering=True,
        enable_exactly_once_delivery=True,
        dead_letter_policy=DeadLetterPolicy(DEAD, 5),
    )
    bench.publish("a", "b", "c", key="k")
    give_back(bench, 4)
    assert [delivered.attempt for delivered in bench.pull()] == [5, 5, 5]
    bench.advance(10)
    give_back(bench, 1)
    assert bench.texts() == []
    assert bench.texts(DEAD_SUBSCRIPTION) == ["a", "b", "c"]


def test_a_dead_letter_topic_must_exist(bench):
    with pytest.raises(NotFound, match="topics/dead"):
        bench.subscribe(dead_letter_policy=DeadLetterPolicy(DEAD, 5))


def test_other_settings_can_be_changed_when_the_dead_letter_topic_is_gone(dying):
    dying.broker.catalog.delete_topic(DEAD)
    settings = SubscriptionSettings(20, dead_letter_policy=DeadLetterPolicy(DEAD, 5))
    dying.broker.catalog.update_subscription(SUBSCRIPTION, settings)
    with pytest.raises(NotFound, match="topics/dead"):
        dying.broker.catalog.update_subscription(
            SUBSCRIPTION, replace(settings, dead_letter_policy=DeadLetterPolicy(DEAD, 6))
        )


@pytest.mark.parametrize("attempts", [4, 101])
def test_the_number_of_attempts_has_bounds(dying, attempts):
    settings = SubscriptionSettings(dead_letter_policy=DeadLetterPolicy(DEAD, attempts))
    with pytest.raises(InvalidArgument, match="from 5 to 100"):
        dying.broker.catalog.update_subscription(SUBSCRIPTION, settings)


def test_with_a_retry_policy_the_wait_doubles_up_to_the_maximum(bench):
    bench.subscribe(retry_policy=TWICE)
    bench.publish("a")
    waits = []
    for _ in range(5):
        give_back(bench, 1)
        waits.append(0)
        while not (again := bench.pull()):
            bench.advance(1)
            waits[-1] += 1
        bench.modify(0, *again)
        bench.advance(60)
    assert waits == [10, 40, 60, 60, 60]


def test_a_lease_that_ends_is_a_reason_to_wait(bench):
    bench.subscribe(retry_policy=TWICE)
    bench.publish("a")
    bench.pull()
    bench.advance(10)
    assert bench.pull() == []
    bench.advance(10)
    assert bench.texts() == ["a"]


def test_others_do_not_wait_for_a_message_that_does(bench):
    bench.subscribe(retry_policy=TWICE)
    bench.publish("a", "b")
    give_back(bench, 1)
    bench.publish("c")
    assert bench.texts() == ["c"]


def test_a_message_that_waits_can_be_acknowledged(bench):
    bench.subscribe(retry_policy=TWICE)
    bench.publish("a")
    (delivered,) = bench.pull()
    bench.modify(0, delivered)
    bench.ack(delivered)
    bench.advance(600)
    assert bench.pull() == []


def test_the_rest_of_its_key_waits_for_a_message_that_does(bench):
    bench.subscribe(retry_policy=TWICE, enable_message_ordering=True)
    bench.publish(*"abc", key="k")
    first, second, third = bench.pull()
    bench.modify(0, second)
    bench.ack(first)
    bench.modify(600, third)
    assert bench.pull() == []
    bench.advance(10)
    assert bench.texts() == ["b", "c"]


@pytest.mark.parametrize("policy", [RetryPolicy(0, 601 * SECOND), RetryPolicy(SECOND, 0)])
def test_the_wait_has_bounds(bench, policy):
    with pytest.raises(InvalidArgument, match="backoff"):
        bench.subscribe(retry_policy=policy)
