"""The client against a server that fails on purpose, over real sockets."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.util import assert_that

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import PredictionRejected, PredictionUnavailable
from tf_dataflow_serving.inference.remote import CmleModelHandler, estimate_cmle
from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.inference.retry import RetryPolicy

QUICK = RetryPolicy(initial=0.001, maximum=0.01, deadline=20.0)
IMPATIENT = RetryPolicy(initial=0.001, maximum=0.01, deadline=0.1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.behave(self, json.loads(body)["instances"])

    def answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def predict(self, instances: list[dict[str, float]]) -> None:
        """Estimate each instance by its plurality."""
        self.answer(200, {"predictions": [{"predictions": [i["plurality"]]} for i in instances]})

    def refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.answer(status, {"error": {"code": status, "message": "on purpose"}}, headers)

    def reset(self) -> None:
        # A linger of 0 s makes close() send RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def truncate(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"predictions": [')
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Does, request by request, what `script` says, and what `behave` is at its end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Callable[[Handler, list], None]] = []
        self.requests: list[list] = []
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A reset connection is what the test wants."""

    def behave(self, handler: Handler, instances: list) -> None:
        with self.lock:
            self.requests.append(instances)
            step = self.script.pop(0) if self.script else Handler.predict
        step(handler, instances)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=[0.01])
        thread.start()
        yield serving
        serving.shutdown()
        thread.join(30)


@pytest.fixture
def endpoint(server) -> PredictionEndpoint:
    return PredictionEndpoint(f"http://127.0.0.1:{server.server_port}", "p", timeout=5.0)


def births(count: int) -> list[dict[str, float]]:
    return [{"plurality": float(index)} for index in range(count)]


FAULTS = {
    "429": lambda handler, _: handler.refuse(429),
    "503": lambda handler, _: handler.refuse(503),
    "500": lambda handler, _: handler.refuse(500),
    "reset": lambda handler, _: handler.reset(),
    "truncated": lambda handler, _: handler.truncate(),
    "retry-after": lambda handler, _: handler.refuse(429, {"Retry-After": "0"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_retried_until_it_has(server, endpoint, fault):
    server.script = [FAULTS[fault]] * 3
    assert estimate_cmle(births(5), endpoint, QUICK) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert server.requests == [births(5)] * 4


def test_a_slow_answer_is_asked_for_again(server):
    release = threading.Event()
    server.script = [lambda handler, _: release.wait(20) and handler.reset()]
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert estimate_cmle(births(1), PredictionEndpoint(url, "p", timeout=0.2), QUICK) == [0.0]
    finally:
        release.set()


@pytest.mark.parametrize("fault", ["429", "503", "reset"])
def test_what_does_not_pass_is_unavailable(server, endpoint, fault):
    server.script = [FAULTS[fault]] * 10_000
    with pytest.raises(PredictionUnavailable, match=r"within 0\.1 s"):
        estimate_cmle(births(1), endpoint, IMPATIENT)


def test_a_longer_wait_than_there_is_time_for_is_not_begun(server, endpoint):
    server.script = [lambda handler, _: handler.refuse(429, {"Retry-After": "3600"})]
    with pytest.raises(PredictionUnavailable, match="on purpose"):
        estimate_cmle(births(1), endpoint, QUICK)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_permanent_error_is_final_at_once(server, endpoint, status):
    server.script = [lambda handler, _: handler.refuse(status)]
    with pytest.raises(PredictionRejected, match=f"HTTP {status}: on purpose"):
        estimate_cmle(births(1), endpoint, QUICK)
    assert len(server.requests) == 1


def test_a_pipeline_predicts_every_row_once_through_all_faults(server, endpoint):
    faults = list(FAULTS.values())
    server.script = [step for fault in faults * 4 for step in (fault, Handler.predict)]

    def check(actual):
        assert sorted(actual) == [float(index) for index in range(400)]

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(births(400))
            | RunInference(CmleModelHandler(endpoint, batch_size=10, policy=QUICK))
            | beam.Map(lambda result: result.inference)
        )
        assert_that(results, check)
    assert server.script == []


def test_a_pipeline_gets_the_reason_of_a_permanent_error(server, endpoint):
    server.script = [lambda handler, _: handler.refuse(403)] * 100

    def check(actual):
        assert actual == [Rejected("HTTP 403: on purpose")] * 30

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(births(30))
            | RunInference(CmleModelHandler(endpoint, batch_size=10, policy=QUICK))
            | beam.Map(lambda result: result.inference)
        )
        assert_that(results, check)
