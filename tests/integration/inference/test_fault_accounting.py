"""Every row is predicted once, and with no more requests than the faults are to blame for."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.runners.runner import PipelineResult
from apache_beam.testing.util import assert_that

from tf_dataflow_serving.inference.endpoint import Endpoint, PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.online import OnlinePredictor
from tf_dataflow_serving.inference.remote import OnlineModelHandler
from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.runners.result import counts

from .faulty_server import Exchange, FaultyServer, Instances, Step, births, closed_server

QUICK = RetryPolicy(initial=0.001, maximum=0.01, deadline=20.0)
ROWS = 600
BATCH_SIZE = 10

FAULTS: dict[str, Step] = {
    "429": lambda exchange, _: exchange.refuse(429),
    "503": lambda exchange, _: exchange.refuse(503, {"Retry-After": "0"}),
    "500": lambda exchange, _: exchange.refuse(500),
    "reset": lambda exchange, _: exchange.reset(),
    "truncated": lambda exchange, _: exchange.truncate(),
    "ended early": lambda exchange, _: exchange.end_early(),
}


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with closed_server() as server:
        server.open()
        yield server


@pytest.fixture(params=[PredictionEndpoint, VertexEndpoint])
def endpoint(request, server) -> Endpoint:
    return request.param(server.url, "p", timeout=5.0)


def at_random(seed: int, share: float, faults: list[Step], server: FaultyServer) -> Step:
    """Return a step that fails for a share of all requests."""
    chance = random.Random(seed)

    def fail_or_predict(exchange: Exchange, instances: Instances) -> None:
        with server.lock:
            step = chance.choice(faults) if chance.random() < share else Exchange.predict
        step(exchange, instances)

    return fail_or_predict


def run(rows: Instances, handler: OnlineModelHandler) -> PipelineResult:
    """Estimate the rows in a pipeline and check that each has its own estimate, once."""

    def check(actual):
        assert sorted(actual) == [row["plurality"] for row in rows]

    pipeline = beam.Pipeline(runner="FnApiRunner")
    results = (
        pipeline
        | beam.Create(rows)
        | RunInference(handler)
        | beam.Map(lambda result: result.inference)
    )
    assert_that(results, check)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@pytest.mark.parametrize(
    ("share", "faults"),
    [
        (0.5, [FAULTS["429"]]),
        (0.01, [FAULTS["reset"]]),
        (0.5, list(FAULTS.values())),
    ],
    ids=["half of all throttled", "some reset", "half of all, in every way"],
)
def test_a_pipeline_predicts_every_row_once(server, endpoint, share, faults):
    server.otherwise = at_random(7, share, faults, server)
    run(births(ROWS), OnlineModelHandler(endpoint, batch_size=BATCH_SIZE, policy=QUICK))
    answered = Counter(row["plurality"] for request in server.answered for row in request)
    assert answered == Counter(row["plurality"] for row in births(ROWS))
    batches = Counter(len(request) for request in server.answered)
    assert max(batches) <= BATCH_SIZE
    # At this share, by chance, more than three tries for each answer would take one in 10**6.
    assert len(server.requests) <= 3 * len(server.answered)


def test_one_bad_instance_costs_halves_whatever_else_fails(server, endpoint):
    bad = 37.0
    judged = []

    def judge(exchange: Exchange, instances: Instances) -> None:
        judged.append(len(instances))
        if any(instance["plurality"] == bad for instance in instances):
            exchange.refuse(400)
        else:
            exchange.predict(instances)

    fault = iter(list(FAULTS.values()) * 20)

    def fail_every_other(exchange: Exchange, instances: Instances) -> None:
        if len(server.requests) % 2:
            next(fault)(exchange, instances)
        else:
            judge(exchange, instances)

    server.otherwise = fail_every_other
    estimates = OnlinePredictor(endpoint, QUICK).estimate(births(64))
    expected = [float(index) for index in range(64)]
    assert estimates[37] == Rejected("HTTP 400: on purpose")
    assert [e for e in estimates if e != estimates[37]] == [e for e in expected if e != bad]
    assert judged.count(64) == 1
    assert Counter(judged) == {64: 1, 32: 2, 16: 2, 8: 2, 4: 2, 2: 2, 1: 2}
    assert len(server.requests) == 2 * len(judged)


def test_threads_ask_for_as_much_at_a_time_as_the_service_bears(server, endpoint):
    places = threading.Semaphore(2)
    working_time = threading.Event()

    def serve_two(exchange: Exchange, instances: Instances) -> None:
        if not places.acquire(blocking=False):
            exchange.refuse(429)
            return
        try:
            working_time.wait(0.005)
        finally:
            places.release()
        exchange.predict(instances)

    server.otherwise = serve_two
    predictor = OnlinePredictor(endpoint, QUICK)
    with ThreadPoolExecutor(8) as threads:
        estimates = threads.map(lambda row: predictor.estimate([row]), births(ROWS))
    assert [estimate for (estimate,) in estimates] == [float(index) for index in range(ROWS)]
    assert len(server.answered) == ROWS
    assert len(server.requests) < 1.5 * ROWS


def test_a_run_counts_the_seconds_that_the_service_made_it_wait(server, endpoint):
    server.script = [lambda exchange, _: exchange.refuse(429, {"Retry-After": "1"})] * 2
    result = run(births(3), OnlineModelHandler(endpoint, policy=QUICK))
    # A fraction that earlier runs of this process have left may make a third one.
    assert counts(result).throttled_seconds in (2, 3)


def test_a_run_that_was_not_throttled_counts_none(server, endpoint):
    server.script = [FAULTS["reset"]] * 3
    result = run(births(3), OnlineModelHandler(endpoint, policy=QUICK))
    assert counts(result).throttled_seconds == 0
