"""`deploy`: from a SavedModel in a directory to estimates by the service."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from google.cloud import storage

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.inference.remote import estimate_cmle, estimate_vertex
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.natality.instance import SAMPLE
from tf_dataflow_serving.services.stack import Stack

from .command_line import command

REGION = "us-central1"


@pytest.fixture
def model_name() -> str:
    return f"m{uuid.uuid4().hex[:12]}"


def deploy(environment: Mapping[str, str], *flags: str) -> str:
    done = command("deploy", *flags, "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["deployed"]


def flags_of(model_name: str, version: str, protocol: str) -> list[str]:
    return [
        f"--model_dir={SHIPPED}",
        f"--model_name={model_name}",
        f"--model_version={version}",
        f"--protocol={protocol}",
    ]


def test_a_model_on_cloud_ml_engine(stack: Stack, stack_environment, model_name: str) -> None:
    name = deploy(stack_environment, *flags_of(model_name, "v1", "cmle"))
    project, url = stack.endpoints.project, stack.endpoints.prediction
    assert name == f"projects/{project}/models/{model_name}/versions/v1"
    endpoint = PredictionEndpoint(str(url), project, model_name, "v1")
    assert estimate_cmle([SAMPLE], endpoint) == pytest.approx(estimate_local([SAMPLE]))


def test_two_versions_on_vertex_ai(stack: Stack, stack_environment, model_name: str) -> None:
    project, url = stack.endpoints.project, str(stack.endpoints.prediction)
    for version in ("v1", "v2"):
        name = deploy(stack_environment, *flags_of(model_name, version, "vertex"))
        assert name == f"projects/{project}/locations/{REGION}/endpoints/{model_name}"
        endpoint = VertexEndpoint(url, project, REGION, model_name)
        assert estimate_vertex([SAMPLE], endpoint) == pytest.approx(estimate_local([SAMPLE]))


def test_a_model_that_is_on_storage_already(
    on_stack: Stack, stack_environment, model_name: str
) -> None:
    bucket = storage.Client(project=on_stack.endpoints.project).create_bucket(model_name)
    for path in (path for path in SHIPPED.rglob("*") if path.is_file()):
        bucket.blob(f"model/{path.relative_to(SHIPPED)}").upload_from_filename(str(path))
    flags = [f"--model_dir=gs://{model_name}/model", f"--model_name={model_name}"]
    assert deploy(stack_environment, *flags, "--model_version=v1").endswith("/versions/v1")


@pytest.mark.parametrize("protocol", ["cmle", "vertex"])
def test_a_version_is_not_replaced(
    stack_environment: Mapping[str, str], model_name: str, protocol: str
) -> None:
    flags = flags_of(model_name, "v1", protocol)
    deploy(stack_environment, *flags)
    again = command("deploy", *flags, environment=stack_environment)
    assert again.returncode == 1
    assert f"model {model_name} has a version v1 already" in again.stderr


def test_each_step_is_told(stack_environment: Mapping[str, str], model_name: str) -> None:
    done = command("deploy", *flags_of(model_name, "v1", "vertex"), environment=stack_environment)
    steps = ("copying", "uploading model", "creating endpoint", "deploying")
    assert [
        line.startswith(step) for line, step in zip(done.stderr.splitlines(), steps, strict=True)
    ]
    assert done.stdout.startswith("deployed projects/")


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [
        (["--model_dir=."], 1, "no SavedModel in ."),
        (["--model_dir=gs://nobodys-bucket/model"], 1, "nobodys-bucket"),
        (["--model_dir=.", "--staging_location=there"], 2, "--staging_location there"),
        (["--model_dir=gs://b/m", "--protocol=vertex", "--endpoint=A_B"], 1, "A_B"),
        (["--model_dir=gs://b/m", "--services=gcp", "--project=p"], 2, "--protocol vertex"),
        (["--model_dir=gs://b/m", "--prediction_url=ftp://h"], 1, "ftp://h"),
    ],
)
def test_a_mistake_is_one_line(
    flags: list[str],
    code: int,
    named: str,
    stack_environment: Mapping[str, str],
    tmp_path: Path,
    model_name: str,
) -> None:
    words = ["deploy", *flags, f"--model_name={model_name}", "--model_version=v1"]
    done = command(*words, environment=stack_environment, directory=tmp_path)
    assert done.returncode == code
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
