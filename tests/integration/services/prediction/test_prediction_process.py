"""The service as the process that a parent starts and ends."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tf_dataflow_serving.services.process import ServiceFailed, ServiceProcess

MODULE = "tf_dataflow_serving.services.prediction"
PREDICT = "/v1/projects/p/models/doubler:predict"


def test_clients_at_the_same_time_each_get_their_own_answers(service_url):
    with httpx.Client(base_url=service_url, timeout=60) as client:

        def double(number: int) -> list[float]:
            response = client.post(PREDICT, json={"instances": [number, number + 0.5]})
            return [prediction["y"] for prediction in response.json()["predictions"]]

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(double, range(200)))
    assert answers == [[2.0 * number, 2.0 * number + 1] for number in range(200)]


def test_stops_when_asked_and_frees_its_port(storage_url, model_dir, tmp_path):
    arguments = ["--storage_url", storage_url, "--deploy", f"doubler:v1={model_dir}"]
    process = ServiceProcess.start("prediction", MODULE, arguments, tmp_path / "log", {})
    url = f"http://127.0.0.1:{process.ports['http']}"
    assert httpx.post(f"{url}{PREDICT}", json={"instances": [1]}).status_code == 200
    process.stop()
    assert process.process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_says_why_it_does_not_start(tmp_path):
    arguments = ["--storage_url", "http://127.0.0.1:9", "--deploy", f"m:v={tmp_path}"]
    with pytest.raises(ServiceFailed, match=r"no saved_model\.pb"):
        ServiceProcess.start("prediction", MODULE, arguments, tmp_path / "log", {})


def test_refuses_a_deployment_that_is_not_one():
    command = [sys.executable, "-m", MODULE, "--storage_url", "http://h", "--deploy", "m:v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "'m:v' is not NAME:VERSION=PATH" in done.stderr
