import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.failures import Throttled, TooSlow
from tf_dataflow_serving.inference.throttling import Gate, NoTurn, RequestSize, WholeSeconds

TIMEOUT = 30.0


class FakeTime:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def wait(self, _condition: threading.Condition, seconds: float) -> None:
        self.now += seconds

    def gate(self, most: int = 8) -> Gate:
        return Gate(most, self.clock, self.wait)


def throttle(gate: Gate, retry_after: float = 0.0) -> None:
    with suppress(Throttled), gate.turn(2000):
        raise Throttled("busy", retry_after)


def under_way(gate: Gate, count: int) -> ExitStack:
    turns = ExitStack()
    for _ in range(count):
        turns.enter_context(gate.turn(2000))
    return turns


def test_a_throttled_request_leaves_half_of_those_under_way():
    gate = FakeTime().gate(100)
    with under_way(gate, 7):
        throttle(gate)
        assert gate.limit == 4


def test_all_that_were_under_way_together_count_once():
    gate = FakeTime().gate(16)
    flight = [gate.turn(2000) for _ in range(16)]
    for turn in flight:
        turn.__enter__()
    for turn in flight:
        assert not turn.__exit__(Throttled, Throttled("busy"), None)
    assert gate.limit == 8
    throttle(gate)
    assert gate.limit == 1


def test_one_at_a_time_is_the_least():
    gate = FakeTime().gate()
    for _ in range(5):
        throttle(gate)
    assert gate.limit == 1


def test_a_few_rounds_of_answers_add_one():
    gate = FakeTime().gate()
    throttle(gate)
    limits = []
    for _ in range(30):
        limits.append(gate.limit)
        with under_way(gate, gate.limit):
            pass
    assert limits == sorted(limits)
    rounds = [limits.count(limit) for limit in (1, 2, 3)]
    assert min(rounds) >= 5
    assert max(rounds) <= 8


def test_answers_add_no_more_than_there_was():
    gate = FakeTime().gate(2)
    for _ in range(100):
        with gate.turn(2000):
            pass
    assert gate.limit == 2


def test_other_failures_change_nothing():
    gate = FakeTime().gate()
    with pytest.raises(TooSlow), gate.turn(2000):
        raise TooSlow("asleep")
    assert gate.limit == 8


def test_nobody_passes_while_the_service_asks_for_quiet():
    time = FakeTime()
    gate = time.gate()
    throttle(gate, retry_after=7)
    throttle(gate, retry_after=3)
    assert time.now == 1007
    with gate.turn(2000) as waited:
        assert (waited, time.now) == (3, 1010)


def test_an_open_gate_takes_no_time():
    with FakeTime().gate().turn(1000) as waited:
        assert waited == 0


def test_what_cannot_have_a_turn_in_time_is_told_at_once():
    time = FakeTime()
    gate = time.gate()
    throttle(gate, retry_after=60)
    with pytest.raises(NoTurn, match="no request for 60 s") as refusal, gate.turn(1059):
        pass
    assert (refusal.value.retry_after, time.now) == (60, 1000)


def test_a_turn_that_does_not_come_is_waited_for_until_the_end():
    time = FakeTime()
    gate = time.gate(1)
    with (
        gate.turn(2000),
        pytest.raises(NoTurn, match="among 1 requests at a time"),
        gate.turn(1010),
    ):
        pass
    assert time.now == 1010


def test_who_leaves_lets_another_one_in():
    gate = Gate(1)
    asking = threading.Event()
    passed = threading.Event()

    def follow() -> None:
        asking.set()
        with gate.turn(float("inf")):
            passed.set()

    follower = threading.Thread(target=follow)
    with gate.turn(float("inf")):
        follower.start()
        assert asking.wait(TIMEOUT)
        assert not passed.is_set()
    assert passed.wait(TIMEOUT)
    follower.join(TIMEOUT)


def test_nobody_is_overtaken_for_long():
    gate = Gate(1)
    turns = [0] * 6
    fewest = []

    def ask(number: int) -> None:
        while turns[number] < 40:
            with gate.turn(float("inf")):
                turns[number] += 1
                work()
        fewest.append(min(turns))

    def work() -> None:
        time.sleep(0.001)

    with ThreadPoolExecutor(len(turns)) as threads:
        list(threads.map(ask, range(len(turns))))
    assert fewest[0] >= 20


def test_who_gives_up_makes_way():
    gate = Gate(1)
    passed = threading.Event()

    def follow() -> None:
        with gate.turn(float("inf")):
            passed.set()

    follower = threading.Thread(target=follow)
    with gate.turn(float("inf")):
        with pytest.raises(NoTurn), gate.turn(0):
            pass
        follower.start()
    follower.join(TIMEOUT)
    assert passed.is_set()


@given(seed=st.integers(), most=st.integers(1, 6), share=st.floats(0, 0.9))
def test_threads_stay_within_the_limit_and_all_get_their_turns(seed, most, share):
    gate = Gate(most)
    chance = random.Random(seed)
    together: set[int] = set()
    seen = []

    def ask(number: int) -> None:
        with suppress(Throttled), gate.turn(float("inf")):
            together.add(number)
            seen.append(len(together))
            together.discard(number)
            if chance.random() < share:
                raise Throttled("busy")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(200)))
    assert len(seen) == 200
    assert max(seen) <= most
    assert 1 <= gate.limit <= most


def test_a_request_that_is_too_much_leaves_half_of_it():
    size = RequestSize(1000)
    size.too_much(1000)
    size.too_much(1000)
    assert size.limit == 500
    size.too_much(10)
    assert size.limit == 5


def test_one_instance_is_the_least():
    size = RequestSize(3)
    for count in (3, 2, 1, 1):
        size.too_much(count)
    assert size.limit == 1


def test_requests_of_the_full_size_let_it_grow_back():
    size = RequestSize(100)
    size.too_much(100)
    limits = []
    for _ in range(11):
        size.answered(size.limit)
        limits.append(size.limit)
    assert limits == [55, 60, 65, 70, 75, 80, 85, 90, 95, 100, 100]


def test_requests_below_the_size_say_nothing_of_it():
    size = RequestSize(100)
    size.too_much(100)
    size.answered(49)
    assert size.limit == 50


@given(st.lists(st.floats(0, 100)))
def test_whole_seconds_add_up_and_lose_no_fraction(waits):
    seconds = WholeSeconds()
    counted = [seconds.add(wait) for wait in waits]
    assert all(isinstance(count, int) for count in counted)
    assert sum(counted) <= sum(waits) + 1e-6
    assert sum(waits) < sum(counted) + 1 + 1e-6
