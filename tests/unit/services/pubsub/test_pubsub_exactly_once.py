"""Exactly-once delivery: only the holder of a lease may acknowledge."""

import pytest

from tf_dataflow_serving.services.pubsub.errors import InvalidAckIds, InvalidArgument


@pytest.fixture
def exact(bench):
    bench.subscribe(enable_exactly_once_delivery=True)
    return bench


def test_who_holds_the_lease_acknowledges(exact):
    exact.publish("a")
    exact.ack(*exact.pull())
    exact.advance(600)
    assert exact.texts() == []


def test_an_expired_ack_id_is_refused_and_named_and_the_others_count(exact):
    exact.publish("a", "b")
    first, second = exact.pull()
    exact.modify(0, first)
    with pytest.raises(InvalidAckIds) as refusal:
        exact.ack(first, second)
    assert refusal.value.ack_ids == [first.ack_id]
    assert exact.texts() == ["a"]


def test_the_ack_id_of_an_earlier_delivery_is_refused(exact):
    exact.publish("a")
    (first,) = exact.pull()
    exact.advance(10)
    (second,) = exact.pull()
    with pytest.raises(InvalidAckIds):
        exact.ack(first)
    exact.ack(second)
    exact.advance(10)
    assert exact.texts() == []


@pytest.mark.parametrize("seconds", [0, 60])
def test_an_expired_lease_is_neither_extended_nor_given_back(exact, seconds):
    exact.publish("a", "b")
    first, second = exact.pull()
    exact.ack(first)
    with pytest.raises(InvalidAckIds) as refusal:
        exact.modify(seconds, first, second)
    assert refusal.value.ack_ids == [first.ack_id]


def test_an_ack_id_that_nobody_gave_is_invalid(exact):
    with pytest.raises(InvalidArgument):
        exact.broker.acknowledge("projects/p/subscriptions/sub", ["nonsense"])


def test_without_exactly_once_delivery_an_expired_ack_id_acknowledges(bench):
    bench.subscribe()
    bench.publish("a")
    (first,) = bench.pull()
    bench.advance(10)
    bench.pull()
    bench.ack(first)
    bench.advance(10)
    assert bench.texts() == []
