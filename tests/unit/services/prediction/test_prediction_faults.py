"""What a plan says, and whom it strikes: by the seed and the number of the request alone."""

import argparse
import math
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.faults.document import (
    plan_document,
    plan_from_document,
)
from tf_dataflow_serving.services.prediction.faults.fates import Fates
from tf_dataflow_serving.services.prediction.faults.injection import Faults, Injection
from tf_dataflow_serving.services.prediction.faults.latency import (
    FixedLatency,
    LongTailLatency,
    NormalLatency,
    parse_latency,
)
from tf_dataflow_serving.services.prediction.faults.numbers import InvalidPlan
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan, Restart, SlowBody
from tf_dataflow_serving.services.prediction.faults.quota import RequestQuota
from tf_dataflow_serving.services.prediction.faults.text import parse_plan, plan_argument

EVERYTHING = (
    "seed=7,requests_per_minute=600,concurrent_requests=8,latency=normal:50:10,"
    "errors=429:0.5+503:0.1,retry_after=2,reset=0.01,truncate=0.02,slow_body=0.1:2.5,restart=500:30"
)
PLAN = FaultPlan(
    seed=7,
    requests_per_minute=600,
    concurrent_requests=8,
    latency=NormalLatency(50, 10),
    errors={429: 0.5, 503: 0.1},
    retry_after=2,
    reset=0.01,
    truncate=0.02,
    slow_body=SlowBody(0.1, 2.5),
    restart=Restart(500, 30),
)
milliseconds = st.floats(0, 3_600_000)
medians = st.floats(1e-300, 3_600_000)
latencies = (
    st.builds(FixedLatency, milliseconds)
    | st.builds(NormalLatency, milliseconds, milliseconds)
    | st.tuples(medians, medians).map(lambda pair: LongTailLatency(min(pair), max(pair)))
)
shares = st.floats(0, 0.2)
plans = st.builds(
    FaultPlan,
    seed=st.integers(0, 2**31),
    requests_per_minute=st.none() | st.integers(1, 10**9),
    concurrent_requests=st.none() | st.integers(1, 10**9),
    latency=st.none() | latencies,
    errors=st.dictionaries(st.integers(400, 599), shares, max_size=2),
    retry_after=st.none() | st.integers(0, 3600),
    reset=shares,
    truncate=shares,
    slow_body=st.none() | st.builds(SlowBody, shares, st.floats(0, 3600)),
    restart=st.none() | st.builds(Restart, st.integers(1, 10**9), st.floats(0, 3600)),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_plan_is_read_from_a_command_line():
    assert parse_plan(EVERYTHING) == PLAN
    assert plan_argument("reset=1") == FaultPlan(reset=1)


@given(plan=plans)
def test_a_plan_is_the_same_again_from_its_document(plan):
    assert plan_from_document(plan_document(plan)) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": the form is NAME=VALUE, several with commas between them"),
        ("errors", "errors: the form is NAME=VALUE, several with commas between them"),
        ("typo=1", "typo: there is no such fault; there are seed, requests_per_minute, "),
        ("reset=0.1,reset=0.1", "reset: it is given twice"),
        ("reset=often", "reset: 'often' is not a number"),
        ("reset=nan", "reset: 'nan' is not a number"),
        ("reset=1.5", "reset: 1.5 is not from 0 to 1"),
        ("seed=0.5", "seed: '0.5' is not a whole number"),
        ("requests_per_minute=0", "requests_per_minute: 0 is not from 1 to 1e+09"),
        ("errors=429", "errors: '429' is not of the form CODE:PROBABILITY"),
        ("errors=200:1", "errors: 200 is not from 400 to 599"),
        ("errors=429:0.1+429:0.1", "errors: 429 is given twice"),
        ("errors=429:0.1+0429:0.1", "errors: 429 is given twice"),
        ("errors=429:-1", "errors: -1 is not from 0 to 1"),
        ("latency=slow:1", "latency: 'slow' is none of fixed, normal, long-tail"),
        ("latency=normal:1", "latency: 'normal:1' is not of the form normal:MEAN_MS:DEVIATION_MS"),
        ("latency=long-tail:9:1", "latency: the median has to be above 0, and not above the p99"),
        ("latency=fixed:-1", "latency: -1 is not from 0 to 3.6e+06"),
        ("slow_body=0.1", "slow_body: '0.1' is not of the form PROBABILITY:SECONDS"),
        ("restart=0:30", "restart: 0 is not from 1 to 1e+09"),
        ("retry_after=-1", "retry_after: -1 is not from 0 to 3600"),
        (
            "errors=429:0.6,reset=0.5",
            "errors, reset, truncate, slow_body: the sum of their probabilities is 1.1, more",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_in_one_line(text, message):
    with pytest.raises(InvalidPlan) as refused:
        parse_plan(text)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
    with pytest.raises(argparse.ArgumentTypeError):
        plan_argument(text)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"typo": 1}, "typo: there is no such fault"),
        ({"seed": "7"}, "seed: a whole number is expected"),
        ({"seed": True}, "seed: a whole number is expected"),
        ({"reset": "0.1"}, "reset: a number is expected"),
        ({"reset": math.inf}, "reset: 'inf' is not a number"),
        ({"latency": 50}, "latency: a string is expected"),
        ({"errors": [429]}, "errors: an object is expected, of probabilities by status code"),
        ({"errors": {"x": 0.1}}, "errors: 'x' is not a whole number"),
        ({"errors": {"429": "0.1"}}, "errors: a number is expected"),
        ({"errors": {"429": 0.7, "0429": 0.7}}, "errors: 429 is given twice"),
        ({"restart": 500}, "restart: a string is expected"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(document, message):
    with pytest.raises(InvalidPlan, match=message):
        plan_from_document(document)


def test_probabilities_may_add_up_to_one():
    assert FaultPlan(errors={429: 0.1, 500: 0.2, 503: 0.3}, reset=0.4).reset == 0.4


@given(latency=latencies, quantile=st.floats(0, 1, exclude_max=True))
def test_a_latency_is_never_negative_nor_more_than_an_hour(latency, quantile):
    assert 0 <= latency.seconds(quantile) <= 3600.000001


def test_latencies_are_distributed_as_they_say():
    quantiles = [(number + 0.5) / 10_000 for number in range(10_000)]
    normal = [parse_latency("normal:50:10").seconds(quantile) for quantile in quantiles]
    assert mean(normal) == pytest.approx(0.050, rel=1e-3)
    tail = parse_latency("long-tail:20:400")
    assert median(map(tail.seconds, quantiles)) == pytest.approx(0.020, rel=1e-3)
    assert tail.seconds(0.99) == pytest.approx(0.400)


@given(plan=plans, other=plans)
def test_what_happens_to_a_request_depends_on_seed_and_number_only(plan, other):
    again = Fates(plan)
    first, second = Fates(plan), Fates(other)
    fates = [(first.next(), second.next())[0] for _ in range(20)]
    assert fates == [again.next() for _ in range(20)]


def test_the_seed_decides():
    def resets(seed: int) -> list[bool]:
        fates = Fates(FaultPlan(seed=seed, reset=0.5))
        return [fates.next().reset for _ in range(64)]

    assert resets(1) != resets(2)


def test_a_latency_changes_nothing_about_what_else_strikes():
    plain, late = (
        Fates(FaultPlan(reset=0.2, errors={503: 0.3}, latency=latency))
        for latency in (None, FixedLatency(5))
    )
    for _ in range(200):
        one, other = plain.next(), late.next()
        assert (one.reset, one.refusal) == (other.reset, other.refusal)
        assert other.delay_seconds == (0 if other.reset else 0.005)


def test_faults_strike_as_often_as_they_say():
    slow = SlowBody(0.2, 1)
    plan = FaultPlan(errors={429: 0.5, 503: 0.1}, reset=0.01, truncate=0.1, slow_body=slow)
    injection = Injection(plan, Clock())
    for _ in range(10_000):
        with injection.request():
            pass
    counts = injection.counts()
    assert counts.requests == 10_000
    assert counts.errors[429] == pytest.approx(5_000, rel=0.05)
    assert counts.errors[503] == pytest.approx(1_000, rel=0.15)
    assert counts.resets == pytest.approx(100, rel=0.4)
    assert counts.truncated == pytest.approx(1_000, rel=0.15)
    assert counts.slow == pytest.approx(2_000, rel=0.1)


def test_retry_after_goes_with_the_statuses_that_have_it():
    plan = FaultPlan(errors={429: 0.3, 500: 0.3, 503: 0.4}, retry_after=9)
    fates = Fates(plan)
    refusals = [fate.refusal for fate in (fates.next() for _ in range(100)) if fate.refusal]
    assert {(one.code, one.retry_after) for one in refusals} == {(429, 9), (500, None), (503, 9)}


def test_a_quota_begins_with_its_first_request_and_anew_after_a_minute():
    clock = Clock()
    quota = RequestQuota(2, clock)
    assert [quota.take(), quota.take(), quota.take()] == [True, True, False]
    assert quota.seconds_left() == 60
    clock.now += 59.5
    assert not quota.take()
    assert quota.seconds_left() == 1
    clock.now += 0.5
    assert [quota.take(), quota.take(), quota.take()] == [True, True, False]


def test_who_is_over_the_quota_is_told_when_to_come_back():
    clock = Clock()
    injection = Injection(FaultPlan(requests_per_minute=1, errors={503: 1.0}), clock)
    with injection.request() as within:
        assert within.refusal.code == 503
    clock.now += 20.2
    with injection.request() as beyond:
        assert (beyond.refusal.code, beyond.refusal.retry_after) == (429, 40)
        assert beyond.refusal.message == (
            "Quota exceeded: 1 online prediction requests per minute."
        )
    assert injection.counts().over_quota == 1
    assert injection.counts().errors == {503: 1}


def test_requests_at_the_same_time_have_a_limit():
    injection = Injection(FaultPlan(concurrent_requests=1), Clock())
    with injection.request() as first, injection.request() as second:
        assert first.refusal is None
        assert (second.refusal.code, second.refusal.retry_after) == (429, 1)
        with injection.request() as third:
            assert third.refusal is not None
    with injection.request() as later:
        assert later.refusal is None
    assert injection.counts().over_concurrency == 2


def test_the_service_goes_away_once_whatever_the_quota_says():
    plan = FaultPlan(restart=Restart(after_requests=3, seconds=5), requests_per_minute=1)
    injection = Injection(plan, Clock())
    away = []
    for _ in range(6):
        with injection.request() as fate:
            away.append(fate.away_seconds)
    assert away == [None, None, 5, None, None, None]
    assert injection.counts().restarts == 1


def test_a_plan_begins_anew_when_it_is_set_again():
    plan = FaultPlan(reset=0.5)
    faults = Faults(Clock(), plan)

    def resets() -> list[bool]:
        struck = []
        for _ in range(32):
            with faults.injection.request() as fate:
                struck.append(fate.reset)
        return struck

    first = resets()
    faults.begin(plan)
    assert faults.injection.counts().requests == 0
    assert resets() == first
    faults.end()
    assert faults.injection is None
