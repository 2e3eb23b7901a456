"""The client against a server that fails on purpose, over real sockets."""

import logging
import threading
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.util import assert_that

from tf_dataflow_serving.inference.endpoint import Endpoint, PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.errors import PredictionRejected, PredictionUnavailable
from tf_dataflow_serving.inference.online import OnlinePredictor
from tf_dataflow_serving.inference.remote import (
    OnlineModelHandler,
    estimate_cmle,
    estimate_online,
    estimate_vertex,
)
from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.inference.retry import RetryPolicy

from .faulty_server import Exchange, FaultyServer, births, closed_server

QUICK = RetryPolicy(initial=0.001, maximum=0.01, deadline=20.0)
IMPATIENT = RetryPolicy(initial=0.001, maximum=0.01, deadline=0.1)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with closed_server() as server:
        server.open()
        yield server


@pytest.fixture(params=["cmle", "vertex"])
def endpoint(request, server) -> Endpoint:
    if request.param == "vertex":
        return VertexEndpoint(server.url, "p", timeout=5.0)
    return PredictionEndpoint(server.url, "p", timeout=5.0)


@pytest.fixture
def hurried(server) -> PredictionEndpoint:
    """An endpoint that may take no time."""
    return PredictionEndpoint(server.url, "p", timeout=0.2)


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """What the server may wait for; it comes at the latest with the end of the test."""
    event = threading.Event()
    yield event
    event.set()


FAULTS = {
    "429": lambda exchange, _: exchange.refuse(429),
    "503": lambda exchange, _: exchange.refuse(503),
    "500": lambda exchange, _: exchange.refuse(500),
    "reset": lambda exchange, _: exchange.reset(),
    "truncated": lambda exchange, _: exchange.truncate(),
    "ended early": lambda exchange, _: exchange.end_early(),
    "no json": lambda exchange, _: exchange.send(200, b"<html>"),
    "no gzip": lambda exchange, _: exchange.send(200, b"{}", {"Content-Encoding": "gzip"}),
    "retry-after": lambda exchange, _: exchange.refuse(429, {"Retry-After": "0"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_retried_until_it_has(server, endpoint, fault):
    server.script = [FAULTS[fault]] * 3
    assert estimate_online(births(5), endpoint, QUICK) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert server.requests == [births(5)] * 4


def test_each_protocol_has_its_call(server):
    cmle = PredictionEndpoint(server.url, "p")
    assert estimate_cmle(births(2), cmle, QUICK) == [0.0, 1.0]
    assert estimate_vertex(births(2), VertexEndpoint(server.url, "p"), QUICK) == [0.0, 1.0]


def test_a_slow_answer_is_asked_for_again(server, hurried, end):
    server.script = [lambda exchange, _: end.wait(20) and exchange.reset()]
    assert estimate_cmle(births(1), hurried, QUICK) == [0.0]


SLOW = {
    "silence": lambda end: lambda exchange, _: end.wait(20) and exchange.reset(),
    "drip": lambda end: lambda exchange, _: exchange.drip(end),
    "504": lambda _: lambda exchange, _: exchange.refuse(504),
}


@pytest.mark.parametrize("slow", SLOW)
def test_what_is_too_slow_is_asked_for_in_halves(server, hurried, end, slow):
    server.script = [SLOW[slow](end), Exchange.predict, SLOW[slow](end)]
    assert estimate_cmle(births(8), hurried, QUICK) == [float(index) for index in range(8)]
    assert [len(request) for request in server.requests] == [8, 4, 4, 2, 2]


def test_requests_stay_smaller_for_a_while_after_one_that_was_too_large(server, endpoint):
    server.script = [lambda exchange, _: exchange.refuse(413)]
    predictor = OnlinePredictor(endpoint, QUICK, batch_size=40)
    for _ in range(3):
        predictor.estimate(births(40))
    sizes = [len(request) for request in server.requests]
    assert sizes[:3] == [40, 20, 20]
    assert sizes[3] == 22
    assert sum(sizes) == 4 * 40


@pytest.mark.parametrize("fault", ["429", "503", "reset", "no json"])
def test_what_does_not_pass_is_unavailable(server, endpoint, fault):
    server.otherwise = FAULTS[fault]
    with pytest.raises(PredictionUnavailable, match=r"within 0\.1 s"):
        estimate_online(births(1), endpoint, IMPATIENT)


def test_a_longer_wait_than_there_is_time_for_is_not_begun(server, endpoint):
    server.script = [lambda exchange, _: exchange.refuse(429, {"Retry-After": "3600"})]
    for _ in range(2):
        with pytest.raises(PredictionUnavailable):
            estimate_online(births(1), endpoint, QUICK)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_permanent_error_is_final_at_once(server, endpoint, status):
    server.script = [lambda exchange, _: exchange.refuse(status)]
    with pytest.raises(PredictionRejected, match=f"HTTP {status}: on purpose"):
        estimate_online(births(1), endpoint, QUICK)
    assert len(server.requests) == 1


def test_a_failed_precondition_is_not_the_instances_fault(server, endpoint):
    server.otherwise = lambda exchange, _: exchange.refuse(400, state="FAILED_PRECONDITION")
    estimates = OnlinePredictor(endpoint, QUICK).estimate(births(8))
    assert estimates == [Rejected("HTTP 400: on purpose")] * 8
    assert len(server.requests) == 1


class _OpensTheServer(logging.Handler):
    """Ends an outage once so many connections were refused."""

    def __init__(self, server: FaultyServer, refusals: int) -> None:
        super().__init__()
        self._server = server
        self._refusals = refusals

    def emit(self, record: logging.LogRecord) -> None:
        if "connect_tcp.failed" in record.getMessage():
            self._refusals -= 1
            if self._refusals == 0:
                self._server.open()


def test_an_outage_is_waited_for(caplog):
    logger = logging.getLogger("httpcore.connection")
    with closed_server() as server, caplog.at_level(logging.DEBUG, logger.name):
        opening = _OpensTheServer(server, refusals=5)
        logger.addHandler(opening)
        try:
            estimates = estimate_cmle(births(3), PredictionEndpoint(server.url, "p"), QUICK)
        finally:
            logger.removeHandler(opening)
    assert estimates == [0.0, 1.0, 2.0]
    assert server.requests == [births(3)]


def test_a_pipeline_gets_the_reason_of_a_permanent_error(server, endpoint):
    server.otherwise = lambda exchange, _: exchange.refuse(403)

    def check(actual):
        assert actual == [Rejected("HTTP 403: on purpose")] * 30

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(births(30))
            | RunInference(OnlineModelHandler(endpoint, batch_size=10, policy=QUICK))
            | beam.Map(lambda result: result.inference)
        )
        assert_that(results, check)
