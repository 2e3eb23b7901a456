"""`services up --prediction_faults`: a plan that is in force once the services are ready."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tf_dataflow_serving.services.prediction.control.client import PredictionControl
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan

TIMEOUT = 60
UP = [sys.executable, "-m", "tf_dataflow_serving", "services", "up"]


@pytest.fixture
def prediction_url(tmp_path: Path) -> Iterator[str]:
    """Where the prediction service of `services up --prediction_faults` is."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "DATAFLOW_SERVING_STATE": str(tmp_path / "services.json"),
    }
    command = [*UP, "--prediction_faults", "errors=503:1,seed=7"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as up:
        printed = list(_until_ready(up))
        exports = dict(line.removeprefix("export ").split("=", 1) for line in printed)
        yield exports["PREDICTION_EMULATOR_HOST"]
        up.terminate()
        up.wait(TIMEOUT)


def _until_ready(up: "subprocess.Popen[str]") -> Iterator[str]:
    assert up.stdout is not None
    for line in up.stdout:
        if line.startswith("# Ready"):
            return
        yield line.strip()
    pytest.fail("services up ended")


def test_a_plan_is_in_force_when_the_services_are_ready(prediction_url: str) -> None:
    path = "/v1/projects/p/models/babyweight_estimator:predict"
    response = httpx.post(f"{prediction_url}{path}", json={"instances": []}, timeout=TIMEOUT)
    assert response.status_code == 503
    with PredictionControl(prediction_url) as control:
        assert control.plan() == FaultPlan(seed=7, errors={503: 1.0})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prediction_faults", "errors=429:2"], "errors: 2 is not from 0 to 1"),
        (["--prediction_faults", "reset=1", "--only", "pubsub"], "is for the prediction service"),
    ],
)
def test_a_plan_that_makes_no_sense_is_one_line(flags: list[str], message: str) -> None:
    done = subprocess.run([*UP, *flags], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
