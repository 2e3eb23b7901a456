"""`faults`: what the service that runs is told to do, on a service of the tests' own."""

import json
from collections.abc import Mapping

import pytest

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import PredictionUnavailable
from tf_dataflow_serving.inference.remote import estimate_cmle
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.natality.instance import SAMPLE

from .command_line import command

AT_ONCE = RetryPolicy(deadline=0)


@pytest.fixture(scope="module")
def service_url(start_service, storage_url: str) -> str:
    deployed = f"babyweight_estimator:v1={SHIPPED}"
    process = start_service("prediction", "--storage_url", storage_url, "--deploy", deployed)
    return f"http://127.0.0.1:{process.ports['http']}"


@pytest.fixture
def environment(service_url: str, stack_environment: Mapping[str, str]) -> Mapping[str, str]:
    return {**stack_environment, "PREDICTION_EMULATOR_HOST": service_url}


def test_faults_come_are_counted_and_go(service_url: str, environment: Mapping[str, str]) -> None:
    endpoint = PredictionEndpoint(service_url, "p")
    begun = command("faults", "errors=503:1,seed=7", environment=environment)
    assert begun.returncode == 0, begun.stderr
    assert "in force: seed 7, errors 503 1" in begun.stdout
    with pytest.raises(PredictionUnavailable, match="HTTP 503"):
        estimate_cmle([SAMPLE], endpoint, AT_ONCE)
    told = command("faults", "--json", environment=environment)
    assert json.loads(told.stdout)["counts"]["errors"] == {"503": 1}
    assert command("faults", "--clear", environment=environment).stdout == "no faults\n"
    assert len(estimate_cmle([SAMPLE], endpoint, AT_ONCE)) == 1


def test_an_outage_begins_now_and_ends(service_url: str, environment: Mapping[str, str]) -> None:
    endpoint = PredictionEndpoint(service_url, "p")
    assert command("faults", "--restart=0.5", environment=environment).returncode == 0
    assert len(estimate_cmle([SAMPLE], endpoint)) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["errors=429:2"], "errors"),
        (["nonsense"], "nonsense"),
        (["--clear", "--restart=1"], "--restart"),
        (["--restart=-1"], "-1"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], named: str, environment) -> None:
    done = command("faults", *words, environment=environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert named in done.stderr
