"""Pipelines through each fault of the service: every row is predicted, once, and right.

The service is real and fails by its own fault plans; each row is accounted for, and so is each
fault: a plan that never struck would show nothing.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.testing.util import assert_that

from tf_dataflow_serving.inference.endpoint import Endpoint, PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.inference.remote import (
    NAMESPACE,
    THROTTLED_COUNTER,
    OnlineModelHandler,
    estimate_online,
)
from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.services.prediction.control.client import PredictionControl
from tf_dataflow_serving.services.prediction.faults.injection import FaultCounts
from tf_dataflow_serving.services.prediction.faults.text import parse_plan

ROWS = 600
BATCH_SIZE = 10
REQUESTS = ROWS // BATCH_SIZE

FAULTS: dict[str, Callable[[FaultCounts], int]] = {
    "errors=429:0.5": lambda counts: counts.errors[429],
    "errors=429:0.05,retry_after=1,seed=3": lambda counts: counts.errors[429],
    "errors=500:0.2+502:0.1+503:0.2": lambda counts: sum(counts.errors.values()),
    "errors=408:0.2+504:0.2": lambda counts: sum(counts.errors.values()),
    "reset=0.2": lambda counts: counts.resets,
    "truncate=0.2": lambda counts: counts.truncated,
    "slow_body=0.1:0.2": lambda counts: counts.slow,
    "latency=fixed:5": lambda counts: counts.requests,
    "latency=normal:10:5": lambda counts: counts.requests,
    "latency=long-tail:2:200": lambda counts: counts.requests,
    "restart=20:1": lambda counts: counts.restarts,
    "errors=429:0.5,reset=0.05,truncate=0.05,restart=40:1,latency=long-tail:1:20": (
        lambda counts: min(counts.errors[429], counts.resets, counts.truncated, counts.restarts)
    ),
}


@pytest.fixture(scope="module")
def service_url(start_service, storage_url: str) -> str:
    """A service that no other test meets while it fails."""
    deployed = f"births:v1={SHIPPED}"
    process = start_service("prediction", "--storage_url", storage_url, "--deploy", deployed)
    return f"http://127.0.0.1:{process.ports['http']}"


@pytest.fixture
def control(service_url: str) -> Iterator[PredictionControl]:
    with PredictionControl(service_url) as control:
        yield control
        control.clear()


@pytest.fixture(params=["cmle", "vertex"])
def endpoint(request: pytest.FixtureRequest, service_url: str) -> Endpoint:
    if request.param == "cmle":
        return PredictionEndpoint(service_url, "p", "births")
    return VertexEndpoint(service_url, "p", endpoint="births")


@pytest.fixture(scope="module")
def births() -> list:
    return list(instances(ROWS, seed=6))


@pytest.fixture(scope="module")
def pounds(births) -> list[float]:
    return estimate_local(births)


def numbered(births: list) -> beam.PTransform:
    return beam.Create(list(enumerate(births)))


def infer(endpoint: Endpoint) -> beam.PTransform:
    handler = OnlineModelHandler(endpoint, batch_size=BATCH_SIZE)
    return RunInference(KeyedModelHandler(handler))


@pytest.mark.parametrize("plan", FAULTS)
def test_every_row_is_predicted_once(plan, control, endpoint, births, pounds):
    def check(actual):
        found = dict(actual)
        assert len(actual) == len(found) == ROWS
        assert [found[number] for number in range(ROWS)] == pytest.approx(pounds, abs=1e-3)

    with control.inject(parse_plan(plan)):
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            results = (
                pipeline
                | numbered(births)
                | infer(endpoint)
                | beam.MapTuple(lambda number, result: (number, result.inference))
            )
            assert_that(results, check)
        counts = control.counts()
    assert FAULTS[plan](counts) > 0
    # With half of them failing each is asked for twice on average; one too slow, in two halves.
    assert REQUESTS <= counts.requests < 8 * REQUESTS


def test_what_is_permanent_is_asked_once_and_named(control, endpoint, births):
    def check(actual):
        assert len(actual) == 30
        assert all(isinstance(one, Rejected) and "HTTP 403" in one.reason for one in actual)

    with control.inject(parse_plan("errors=403:1")):
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            handler = OnlineModelHandler(endpoint, batch_size=BATCH_SIZE)
            results = pipeline | beam.Create(births[:30]) | RunInference(handler)
            assert_that(results | beam.Map(lambda result: result.inference), check)
        # To look for one instance at fault would take 19 requests for each batch.
        assert control.counts().requests < 12


def test_one_bad_instance_is_found_without_asking_for_all_again(control, endpoint, births):
    spoilt = [*births[:63], {**births[63], "mother_age": "old"}]

    def check(actual):
        assert sum(isinstance(one, Rejected) for one in actual) == 1
        assert len(actual) == 64

    # A plan without faults counts requests.
    with control.inject(parse_plan("seed=1")):
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            handler = OnlineModelHandler(endpoint, batch_size=64)
            results = pipeline | beam.Create(spoilt) | RunInference(handler)
            assert_that(results | beam.Map(lambda result: result.inference), check)
        # 64 at once, then two halves for each of 6 halvings; smaller bundles need fewer.
        assert control.counts().requests <= 1 + 2 * 6 + 3


def test_waiting_is_counted_as_throttling(control, endpoint, births):
    with control.inject(parse_plan("errors=429:0.5,retry_after=1,seed=2")):
        pipeline = beam.Pipeline(runner="FnApiRunner")
        handler = OnlineModelHandler(endpoint, batch_size=100)
        _ = pipeline | beam.Create(births) | RunInference(handler)
        result = pipeline.run()
        result.wait_until_finish()
        refused = control.counts().errors[429]
    selected = MetricsFilter().with_namespace(NAMESPACE).with_name(THROTTLED_COUNTER)
    (counter,) = result.metrics().query(selected)["counters"]
    assert counter.result >= refused > 0


def test_threads_share_what_the_service_bears(control, endpoint, births, pounds):
    parts = [births[start : start + BATCH_SIZE] for start in range(0, ROWS, BATCH_SIZE)]
    with control.inject(parse_plan("concurrent_requests=2,latency=fixed:20")):
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda part: estimate_online(part, endpoint), parts))
        counts = control.counts()
    assert [estimate for part in found for estimate in part] == pytest.approx(pounds, abs=1e-3)
    assert counts.over_concurrency > 0
    assert counts.requests < 2 * REQUESTS


def test_a_quota_is_waited_for(control, endpoint, births, pounds):
    """Ten requests a minute for eleven parts: the eleventh has to wait for the next minute."""
    with control.inject(parse_plan("requests_per_minute=10")):
        found = [
            estimate_online(births[start : start + 50], endpoint) for start in range(0, 550, 50)
        ]
        counts = control.counts()
    assert [estimate for part in found for estimate in part] == pytest.approx(
        pounds[:550], abs=1e-3
    )
    assert (counts.over_quota, counts.requests) == (1, 12)
