"""Faults of the service as a process, as its clients meet them."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tf_dataflow_serving.services.prediction.control.client import ControlFailed, PredictionControl
from tf_dataflow_serving.services.prediction.faults.latency import FixedLatency
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan, Restart, SlowBody
from tf_dataflow_serving.services.process import ServiceProcess

CMLE = "/v1/projects/p/models/doubler:predict"
TF_SERVING = "/v1/models/doubler:predict"
ONE = {"instances": [1.0]}
# Long enough for a busy machine to see that the service is away.
AWAY_SECONDS = 5


@pytest.fixture
def control(service_url: str) -> Iterator[PredictionControl]:
    with PredictionControl(service_url) as connected:
        yield connected
        clear_when_it_answers(connected)


@pytest.fixture
def client(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=30) as http:
        yield http


def clear_when_it_answers(control: PredictionControl) -> None:
    """Leave the service as it was to the next test, which a failure may find away."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return control.clear()
        except ControlFailed:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def until_it_answers(client: httpx.Client) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.post(CMLE, json=ONE)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_without_a_plan_nothing_happens(client, control):
    assert control.plan() is None
    assert client.post(CMLE, json=ONE).json() == {"predictions": [{"y": 2.0}]}
    assert control.counts().requests == 0


@pytest.mark.parametrize(
    ("code", "status"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (418, "FAILED_PREC")]
)
def test_errors_have_the_form_of_the_protocol(client, control, code, status):
    with control.inject(FaultPlan(errors={code: 1.0}, retry_after=3)):
        google = client.post(CMLE, json=ONE)
        tf_serving = client.post(TF_SERVING, json=ONE)
        assert control.counts().errors == {code: 2}
    assert google.status_code == tf_serving.status_code == code
    error = google.json()["error"]
    assert (error["code"], error["message"]) == (code, "Injected fault.")
    assert error["status"].startswith(status)
    assert tf_serving.json() == {"error": "Injected fault."}
    for response in (google, tf_serving):
        assert response.headers.get("Retry-After") == ("3" if code in (429, 503) else None)


def test_only_online_predictions_are_struck(client, control):
    with control.inject(FaultPlan(errors={503: 1.0})):
        assert client.get("/v1/projects/p/models").status_code == 200
        assert client.get("/v1/models/doubler").status_code == 200
        assert client.get(CMLE).status_code == 404
        assert control.counts().requests == 0
    assert client.post(CMLE, json=ONE).status_code == 200


def test_the_same_requests_are_struck_with_the_same_seed(client, control):
    def codes(seed: int) -> list[int]:
        with control.inject(FaultPlan(seed=seed, errors={429: 0.3, 500: 0.3})):
            return [client.post(CMLE, json=ONE).status_code for _ in range(40)]

    first = codes(1)
    assert set(first) == {200, 429, 500}
    assert codes(1) == first
    assert codes(2) != first


def test_a_quota_tells_when_to_come_back(client, control):
    with control.inject(FaultPlan(requests_per_minute=2)):
        codes = [client.post(CMLE, json=ONE).status_code for _ in range(2)]
        beyond = client.post(CMLE, json=ONE)
        assert control.counts().over_quota == 1
    assert codes == [200, 200]
    assert beyond.status_code == 429
    assert 1 <= int(beyond.headers["Retry-After"]) <= 60
    assert beyond.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_requests_at_the_same_time_are_limited(client, control):
    with control.inject(FaultPlan(concurrent_requests=2, latency=FixedLatency(3_000))):
        with ThreadPoolExecutor(6) as threads:
            responses = list(threads.map(lambda _: client.post(CMLE, json=ONE), range(6)))
        refused = [response for response in responses if response.status_code == 429]
        assert 1 <= len(refused) == control.counts().over_concurrency <= 4
    assert {response.headers["Retry-After"] for response in refused} == {"1"}


def test_a_reset_comes_when_the_request_is_complete(client, control):
    with control.inject(FaultPlan(reset=1.0)):
        for _ in range(50):
            with pytest.raises(httpx.ReadError):
                client.post(CMLE, content=b"x" * 10_000)
        assert control.counts().resets == 50


def test_a_reset_reaches_the_client_as_such(service, control):
    with control.inject(FaultPlan(reset=1.0)):
        with socket.create_connection(("127.0.0.1", service.ports["http"]), timeout=30) as raw:
            raw.sendall(f"POST {CMLE} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())
            with pytest.raises(ConnectionResetError):
                raw.recv(1)
        assert control.counts().resets == 1


@pytest.mark.parametrize("path", [CMLE, TF_SERVING])
def test_a_truncated_body_is_shorter_than_it_says(client, control, path):
    with control.inject(FaultPlan(truncate=1.0)):
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            client.post(path, json=ONE)
        assert control.counts().truncated == 1
    assert client.post(path, json=ONE).status_code == 200


def test_a_slow_body_comes_in_pieces(client, control):
    with control.inject(FaultPlan(slow_body=SlowBody(1.0, 1.0))):
        with client.stream("POST", CMLE, json=ONE) as response:
            pieces = list(response.iter_raw())
        assert control.counts().slow == 1
    assert len(pieces) > 1
    assert b"".join(pieces) == b'{"predictions":[{"y":2.0}]}'


def test_a_client_that_gives_up_frees_its_place(client, control):
    with control.inject(FaultPlan(concurrent_requests=1, latency=FixedLatency(600_000))):
        with pytest.raises(httpx.ReadTimeout):
            client.post(CMLE, json=ONE, timeout=0.5)
        deadline = time.monotonic() + 60
        with pytest.raises(httpx.ReadTimeout):
            while client.post(CMLE, json=ONE, timeout=0.5).status_code == 429:
                assert time.monotonic() < deadline


def test_a_restart_loses_what_is_in_flight_and_keeps_the_models(client, control):
    created = client.post("/v1/projects/restarted/models", json={"name": "mine"})
    assert created.status_code == 200
    plan = FaultPlan(
        restart=Restart(after_requests=3, seconds=AWAY_SECONDS), latency=FixedLatency(5_000)
    )
    control.inject(plan)
    with ThreadPoolExecutor(3) as threads:
        sent = [threads.submit(client.post, CMLE, json=ONE) for _ in range(3)]
    # Whoever was still sending finds the connection ended, not reset.
    for request in sent:
        assert isinstance(request.exception(), httpx.ReadError | httpx.RemoteProtocolError)
    with pytest.raises(httpx.ConnectError):
        client.post(CMLE, json=ONE)
    assert until_it_answers(client).json() == {"predictions": [{"y": 2.0}]}
    assert client.get("/v1/projects/restarted/models/mine").status_code == 200
    counts = control.counts()
    assert (counts.requests, counts.restarts) == (4, 1)


def test_a_restart_can_be_ordered_and_is_answered_first(client, control):
    control.restart(AWAY_SECONDS)
    with pytest.raises(ControlFailed, match=r"the prediction service at .* failed"):
        control.counts()
    assert until_it_answers(client).status_code == 200


def test_the_control_endpoint_tells_what_is_in_force(client, control):
    plan = FaultPlan(seed=3, errors={503: 0.25}, slow_body=SlowBody(0.5, 0.01))
    with control.inject(plan):
        assert control.plan() == plan
        told = client.get("/control/v1/faults").json()
        assert told["plan"]["errors"] == {"503": 0.25}
        assert told["counts"]["errors"] == {}
    assert client.get("/control/v1/faults").json()["plan"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "faults", {"typo": 1}, "there is no such fault"),
        ("PUT", "faults", {"reset": 2}, "2 is not from 0 to 1"),
        ("PUT", "faults", [], "An object is expected."),
        ("POST", "restart", {}, "a number from 0 to 3600 is expected"),
        ("POST", "restart", {"seconds": True}, "a number from 0 to 3600 is expected"),
        ("POST", "restart", {"seconds": 1, "hours": 1}, "Field: hours Error: it is not known"),
    ],
)
def test_the_control_endpoint_refuses_what_makes_no_sense(client, method, path, body, message):
    response = client.request(method, f"/control/v1/{path}", json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


def test_a_plan_can_be_in_force_from_the_start(
    storage_url: str, model_dir, start_service: Callable[..., ServiceProcess]
):
    service = start_service(
        "prediction",
        *("--storage_url", storage_url, "--deploy", f"doubler:v1={model_dir}"),
        *("--faults", "errors=503:1,retry_after=4,seed=9"),
    )
    url = f"http://127.0.0.1:{service.ports['http']}"
    response = httpx.post(f"{url}{CMLE}", json=ONE, timeout=30)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "4")
    with PredictionControl(url) as control:
        assert control.plan() == FaultPlan(seed=9, errors={503: 1.0}, retry_after=4)


def test_a_service_that_is_away_can_be_stopped(storage_url: str, tmp_path: Path):
    arguments = ["--storage_url", storage_url]
    module = "tf_dataflow_serving.services.prediction"
    service = ServiceProcess.start("prediction", module, arguments, tmp_path / "log", os.environ)
    with PredictionControl(f"http://127.0.0.1:{service.ports['http']}") as control:
        control.restart(600)
    service.stop()
    assert service.process.returncode == 0
