"""Injected faults: which call suffers which of them. And the clock that tests move."""

import re
from random import Random

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient

from tf_dataflow_serving.services.pubsub.clock import LATEST, SECOND, MovableClock
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, NotFound
from tf_dataflow_serving.services.pubsub.faults import METHODS, Code, Fault, Faults

UNAVAILABLE = Fault("Publish", Code.UNAVAILABLE)


@pytest.fixture
def faults() -> Faults:
    return Faults(Random(0))


def test_a_fault_strikes_calls_of_its_method_only(faults):
    faults.add(UNAVAILABLE)
    assert faults.strike("Publish") == UNAVAILABLE
    assert faults.strike("Pull") is None


def test_a_fault_strikes_until_it_is_removed(faults):
    fault_id = faults.add(UNAVAILABLE)
    assert [faults.strike("Publish") for _ in range(3)] == [UNAVAILABLE] * 3
    faults.remove(fault_id)
    assert faults.strike("Publish") is None


def test_a_fault_strikes_as_often_as_it_is_told_and_stays_listed(faults):
    fault = Fault("Pull", Code.ABORTED, count=2)
    fault_id = faults.add(fault)
    assert [faults.strike("Pull") for _ in range(4)] == [fault, fault, None, None]
    assert faults.injected() == [(fault_id, fault, 2)]


def test_the_oldest_fault_strikes_first_and_the_next_when_it_is_spent(faults):
    first = Fault("Publish", Code.INTERNAL, count=1)
    faults.add(first)
    faults.add(UNAVAILABLE)
    assert [faults.strike("Publish") for _ in range(2)] == [first, UNAVAILABLE]


def test_a_seed_repeats_when_a_fault_with_a_probability_strikes():
    def run(seed: int) -> list[bool]:
        faults = Faults(Random(seed))
        faults.add(Fault("Publish", Code.UNAVAILABLE, probability=0.5))
        return [faults.strike("Publish") is not None for _ in range(1000)]

    struck = run(seed=7)
    assert struck == run(seed=7)
    assert struck != run(seed=8)
    assert 400 < sum(struck) < 600


def test_no_fault_is_left_after_all_are_removed(faults):
    faults.add(UNAVAILABLE)
    faults.clear()
    assert (faults.strike("Publish"), faults.injected()) == (None, [])


def test_an_unknown_fault_cannot_be_removed(faults):
    with pytest.raises(NotFound, match="faults/7"):
        faults.remove(7)


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        (Fault("Publsh", Code.ABORTED), "method"),
        (Fault("", Code.ABORTED), "method"),
        (Fault("Publish"), "code or delay_seconds"),
        (Fault("Publish", delay_seconds=-1), "delay_seconds"),
        (Fault("Publish", delay_seconds=1e9), "delay_seconds"),
        (Fault("Publish", delay_seconds=float("nan")), "delay_seconds"),
        (Fault("Publish", Code.ABORTED, count=0), "count"),
        (Fault("Publish", Code.ABORTED, probability=0), "probability"),
        (Fault("Publish", Code.ABORTED, probability=1.5), "probability"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_the_name_of_the_field(faults, fault, field):
    with pytest.raises(InvalidArgument, match=f"^{field}"):
        faults.add(fault)
    assert faults.injected() == []


def test_every_method_of_the_official_clients_can_be_struck():
    for method in METHODS:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
        assert hasattr(PublisherClient, name) or hasattr(SubscriberClient, name), method


def test_every_status_code_but_ok_is_one_of_a_fault():
    assert {code.name for code in Code} == {code.name for code in grpc.StatusCode} - {"OK"}


def test_a_clock_goes_on_from_where_it_was_moved_to():
    time = 1_000 * SECOND
    moved: list[int] = []
    clock = MovableClock(lambda: time, lambda: moved.append(clock()))
    clock.advance(3_600 * SECOND)
    assert (clock(), moved) == (4_600 * SECOND, [4_600 * SECOND])
    time += SECOND
    assert clock() == 4_601 * SECOND


@pytest.mark.parametrize("nanoseconds", [-1, LATEST, 10**400])
def test_a_clock_moves_neither_back_nor_beyond_what_can_be_stored(nanoseconds):
    clock = MovableClock(lambda: 1, lambda: None)
    with pytest.raises(InvalidArgument, match="clock"):
        clock.advance(nanoseconds)
    assert clock() == 1
