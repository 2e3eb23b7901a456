import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.errors import PredictionRejected, PredictionUnavailable
from tf_dataflow_serving.inference.failures import Throttled, TooSlow, Transient
from tf_dataflow_serving.inference.retry import Retrier, RetryPolicy
from tf_dataflow_serving.inference.throttling import Gate

policies = st.builds(
    lambda initial, factor, deadline: RetryPolicy(initial, initial * factor, deadline),
    st.floats(0.001, 1),
    st.floats(1, 100),
    st.floats(0, 1000),
)


class FakeTime:
    """A clock that only sleeping moves; `jitter` is the share of the longest wait."""

    def __init__(self, jitter: float = 1.0) -> None:
        self.now = 1000.0
        self.jitter = jitter
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def retrier(self, policy: RetryPolicy) -> Retrier:
        return Retrier(
            policy,
            Gate(8, self.clock, lambda _, seconds: self.sleep(seconds)),
            self.clock,
            self.sleep,
            lambda low, high: low + self.jitter * (high - low),
        )

    def clock(self) -> float:
        return self.now


class Failing:
    """Fails a number of times before it answers."""

    def __init__(
        self, failures: int, retry_after: float = 0.0, kind: type[Transient] = Transient
    ) -> None:
        self.failures = failures
        self.retry_after = retry_after
        self.kind = kind
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.kind("busy", self.retry_after)
        return "answer"


def test_a_success_is_not_delayed():
    time = FakeTime()
    assert time.retrier(RetryPolicy()).call(Failing(0)) == "answer"
    assert time.slept == []


def test_waits_double_up_to_the_maximum():
    time = FakeTime()
    function = Failing(6)
    assert time.retrier(RetryPolicy(0.02, 0.3, 60)).call(function) == "answer"
    assert time.slept == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.3, 0.3])
    assert function.calls == 7


def test_waits_begin_in_milliseconds_by_default():
    time = FakeTime(jitter=0.5)
    time.retrier(RetryPolicy()).call(Failing(1))
    assert time.slept == [0.01]


def test_the_server_may_ask_for_a_longer_wait():
    time = FakeTime(jitter=0)
    time.retrier(RetryPolicy()).call(Failing(2, retry_after=7))
    assert time.slept == [7, 7]


def test_gives_up_rather_than_begin_after_the_deadline():
    time = FakeTime()
    function = Failing(100, retry_after=3)
    with pytest.raises(PredictionUnavailable, match=r"within 10 s, in 4 tries: busy"):
        time.retrier(RetryPolicy(deadline=10)).call(function)
    assert time.slept == [3, 3, 3]


def test_a_permanent_error_passes_at_once():
    time = FakeTime()

    def reject() -> None:
        raise PredictionRejected("no")

    with pytest.raises(PredictionRejected):
        time.retrier(RetryPolicy()).call(reject)
    assert time.slept == []


def test_a_final_failure_passes_at_once():
    time = FakeTime()
    function = Failing(1, kind=TooSlow)
    with pytest.raises(TooSlow):
        time.retrier(RetryPolicy()).call(function, final=(TooSlow,))
    assert (function.calls, time.slept) == (1, [])


def test_a_final_failure_after_the_deadline_is_unavailable():
    time = FakeTime()
    retrier = time.retrier(RetryPolicy(deadline=10))
    patience = retrier.patience()
    time.sleep(11)
    with pytest.raises(PredictionUnavailable, match="within 10 s"):
        retrier.call(Failing(1, kind=TooSlow), patience, final=(TooSlow,))


def test_each_answer_begins_the_deadline_anew():
    time = FakeTime()
    retrier = time.retrier(RetryPolicy(initial=8, maximum=8, deadline=10))
    patience = retrier.patience()
    for _ in range(3):
        assert retrier.call(Failing(1), patience) == "answer"
    assert time.slept == [8, 8, 8]


def test_a_refusal_is_an_answer_too():
    time = FakeTime()
    retrier = time.retrier(RetryPolicy(initial=8, maximum=8, deadline=10))
    patience = retrier.patience()
    time.sleep(5)

    def reject() -> None:
        raise PredictionRejected("no")

    with pytest.raises(PredictionRejected):
        retrier.call(reject, patience)
    assert retrier.call(Failing(1), patience) == "answer"


def test_only_waits_that_the_service_asks_for_count_as_throttled():
    time = FakeTime()
    retrier = time.retrier(RetryPolicy(initial=1, maximum=1))
    patience = retrier.patience()
    retrier.call(Failing(2), patience)
    assert patience.throttled == 0
    retrier.call(Failing(2, retry_after=3, kind=Throttled), patience)
    assert patience.throttled == 6


def test_the_quiet_that_one_caller_was_asked_for_binds_the_others():
    time = FakeTime()
    retrier = time.retrier(RetryPolicy(deadline=10))
    with pytest.raises(PredictionUnavailable):
        retrier.call(Failing(1, retry_after=60, kind=Throttled))
    begin, function = time.now, Failing(0)
    with pytest.raises(PredictionUnavailable, match="asks for no request for 60 s"):
        retrier.call(function)
    assert (function.calls, time.now) == (0, begin)
    time.sleep(55)
    patience = retrier.patience()
    assert retrier.call(function, patience) == "answer"
    assert (patience.throttled, time.now) == (5, begin + 60)


@given(policies, st.floats(0, 1), st.floats(0, 20))
def test_never_sleeps_past_the_deadline_nor_longer_than_allowed(policy, jitter, retry_after):
    time = FakeTime(jitter)
    # Without any jitter the clock would stand still.
    function = Failing(200, retry_after or 0.001)
    try:
        time.retrier(policy).call(function)
    except PredictionUnavailable:
        assert function.calls == len(time.slept) + 1
    assert time.now - 1000 <= policy.deadline + 1e-6
    for wait in time.slept:
        assert wait <= max(policy.maximum, function.retry_after) + 1e-9


@given(st.integers(0, 10**6), policies)
def test_the_longest_wait_stays_within_its_limits(attempt, policy):
    assert policy.initial <= policy.ceiling(attempt) <= policy.maximum


@pytest.mark.parametrize("values", [(0, 1, 1), (2, 1, 1), (0.1, 1, -1)])
def test_refuses_a_policy_that_makes_no_sense(values):
    with pytest.raises(ValueError, match="not a retry policy"):
        RetryPolicy(*values)
