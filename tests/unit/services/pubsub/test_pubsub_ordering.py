"""Messages with the same ordering key."""

import pytest

from tf_dataflow_serving.services.pubsub.consumer import FlowLimits

SUBSCRIPTION = "projects/p/subscriptions/sub"


@pytest.fixture
def ordered(bench):
    bench.subscribe(enable_message_ordering=True)
    return bench


def test_a_key_goes_out_in_the_order_of_publication(ordered):
    ordered.publish(*"abc", key="k")
    assert ordered.texts() == ["a", "b", "c"]


def test_the_next_of_a_key_wait_until_those_out_are_settled(ordered):
    ordered.publish(*"abc", key="k")
    ordered.publish("x", key="other")
    held = ordered.pull(limit=2)
    assert ordered.texts() == ["x"]
    ordered.ack(held[0])
    assert ordered.pull() == []
    ordered.ack(held[1])
    assert ordered.texts() == ["c"]


def test_what_went_out_after_a_returned_message_returns_with_it(ordered):
    ordered.publish(*"abc", key="k")
    _, second, third = ordered.pull()
    ordered.modify(0, second)
    ordered.modify(600, third)
    assert ordered.pull() == []
    ordered.advance(10)
    assert ordered.texts() == ["a", "b", "c"]


def test_a_message_that_returned_may_still_be_acknowledged(ordered):
    ordered.publish(*"abc", key="k")
    first, second, third = ordered.pull()
    ordered.modify(0, first)
    ordered.ack(second)
    assert ordered.texts() == ["a", "c"]
    ordered.ack(first, third)
    ordered.advance(10)
    assert ordered.pull() == []


def test_a_waiting_consumer_is_woken_when_a_key_opens(ordered):
    ordered.publish(*"ab", key="k")
    held = ordered.pull(limit=1)
    woken = []
    with ordered.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: woken.append(1)) as receiver:
        assert receiver.take() == []
        ordered.ack(*held)
        assert woken == [1]
        assert len(receiver.take()) == 1


def test_a_run_of_a_key_is_not_cut_short_for_the_sake_of_other_consumers(ordered):
    ordered.publish(*"abcdefgh", key="k")
    ordered.modify(0, *ordered.pull())
    with (
        ordered.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver,
        ordered.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as other,
    ):
        assert len(receiver.take()) == 8
        assert other.take() == []


def test_many_messages_of_a_key_can_be_given_back_at_once(ordered):
    for _ in range(20):
        ordered.publish(*"a" * 1_000, key="k")
    with ordered.broker.receive(SUBSCRIPTION, FlowLimits(), lambda: None) as receiver:
        held = receiver.take()
    ordered.modify(0, *reversed(held))
    assert [one.message for one in ordered.pull()] == [one.message for one in held]


def test_messages_without_a_key_do_not_wait(ordered):
    ordered.publish(*"ab")
    assert ordered.texts(limit=1) == ["a"]
    assert ordered.texts() == ["b"]


def test_keys_mean_nothing_to_a_subscription_without_order(bench):
    bench.subscribe()
    bench.publish(*"ab", key="k")
    assert bench.texts(limit=1) == ["a"]
    assert bench.texts() == ["b"]
