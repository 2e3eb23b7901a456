"""`deploy`: from a SavedModel in a directory to estimates by the service."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from google.cloud import storage

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.inference.remote import estimate_cmle, estimate_vertex
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.natality.instance import SAMPLE
from tf_dataflow_serving.services.stack import Stack

from .command_line import command
from .losing_proxy import LosingProxy, losing_proxy

REGION = "us-central1"


@pytest.fixture
def model_name() -> str:
    return f"m{uuid.uuid4().hex[:12]}"


@pytest.fixture
def proxy(stack: Stack) -> Iterator[LosingProxy]:
    with losing_proxy(str(stack.endpoints.prediction)) as running:
        yield running


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


def test_a_version_of_other_files_is_not_gone_on_with(
    stack_environment: Mapping[str, str], model_name: str
) -> None:
    flags = flags_of(model_name, "v1", "vertex")
    deploy(stack_environment, *flags, "--staging_location=gs://one")
    flags += ["--staging_location=gs://other", "--endpoint=other"]
    again = command("deploy", *flags, environment=stack_environment)
    assert again.returncode == 1
    assert f"model {model_name} has a version v1 already" in again.stderr


@pytest.mark.parametrize("path", ["/models", "/versions"])
def test_a_lost_answer_of_cloud_ml_engine_is_no_conflict(
    stack_environment: Mapping[str, str], model_name: str, proxy: LosingProxy, path: str
) -> None:
    proxy.lost = [path]
    flags = [*flags_of(model_name, "v1", "cmle"), f"--prediction_url={proxy.url}"]
    assert deploy(stack_environment, *flags).endswith(f"/models/{model_name}/versions/v1")
    assert proxy.lost == []


def versions_and_deployments(stack: Stack, model_name: str) -> tuple[list[str], list[str]]:
    """Return the numbers of the model's versions, and of those that its endpoint has."""
    place = f"/v1/projects/{stack.endpoints.project}/locations/{REGION}"
    with httpx.Client(base_url=str(stack.endpoints.prediction), trust_env=False) as client:
        versions = client.get(f"{place}/models/{model_name}:listVersions").json()["models"]
        endpoint = client.get(f"{place}/endpoints/{model_name}").json()
    return (
        [version["versionId"] for version in versions],
        [deployed["modelVersionId"] for deployed in endpoint.get("deployedModels", [])],
    )


def test_lost_answers_of_vertex_ai_make_nothing_twice(
    stack: Stack, stack_environment: Mapping[str, str], model_name: str, proxy: LosingProxy
) -> None:
    url = f"--prediction_url={proxy.url}"
    for version in ("v1", "v2"):
        proxy.lost = ["/models:upload", ":deployModel"]
        proxy.lost += [f"?endpointId={model_name}"] if version == "v1" else []
        deploy(stack_environment, *flags_of(model_name, version, "vertex"), url)
        assert proxy.lost == []
    assert versions_and_deployments(stack, model_name) == (["1", "2"], ["1", "2"])


def test_half_a_deployment_on_vertex_ai_is_completed(
    stack: Stack, stack_environment: Mapping[str, str], model_name: str, proxy: LosingProxy
) -> None:
    proxy.refused = [":deployModel"]
    flags = [*flags_of(model_name, "v1", "vertex"), f"--prediction_url={proxy.url}"]
    failed = command("deploy", *flags, environment=stack_environment)
    assert failed.returncode == 1
    assert "HTTP 403: not today" in failed.stderr
    assert versions_and_deployments(stack, model_name) == (["1"], [])
    again = command("deploy", *flags, environment=stack_environment)
    assert again.returncode == 0
    assert f"model {model_name} has version v1: going on from it" in again.stderr
    assert versions_and_deployments(stack, model_name) == (["1"], ["1"])


def test_the_same_name_by_both_protocols_has_files_for_each(
    on_stack: Stack, stack_environment: Mapping[str, str], model_name: str
) -> None:
    staging = f"--staging_location=gs://{model_name}/below"
    for protocol in ("cmle", "vertex"):
        deploy(stack_environment, *flags_of(model_name, "v1", protocol), staging)
    client = storage.Client(project=on_stack.endpoints.project)
    graphs = client.list_blobs(model_name, match_glob="**/saved_model.pb")
    assert [blob.name for blob in graphs] == [
        f"below/{protocol}/{model_name}/v1/saved_model.pb" for protocol in ("cmle", "vertex")
    ]


def test_without_credentials_it_says_so_in_one_line(
    stack: Stack, stack_environment: Mapping[str, str], model_name: str, tmp_path: Path
) -> None:
    nowhere = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}
    places = [f"--prediction_url={stack.endpoints.prediction}", "--staging_location=gs://b"]
    words = [*flags_of(model_name, "v1", "cmle"), *places, "--services=gcp", "--project=p"]
    done = command("deploy", *words, environment={**stack_environment, **nowhere})
    assert done.returncode == 1
    assert "the model cannot be copied to gs://b/cmle" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


LOCAL, STORED = f"--model_dir={SHIPPED}", "--model_dir=gs://b/m"


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [
        (["--model_dir=."], 1, "no SavedModel in ."),
        (["--model_dir=nowhere"], 1, "no SavedModel in nowhere"),
        (["--model_dir=gs://nobodys-bucket/model"], 1, "nobodys-bucket"),
        (["--model_dir=gs:///m"], 2, "--model_dir: 'gs:///m' is not of the form"),
        ([LOCAL, "--staging_location=there"], 2, "--staging_location: 'there' is not of the form"),
        ([LOCAL, "--staging_location=gs:///x"], 2, "'gs:///x' is not of the form"),
        ([LOCAL, "--services=gcp", "--project=p"], 2, "needs --staging_location"),
        ([STORED, "--protocol=vertex", "--endpoint=A_B"], 2, "A_B"),
        ([STORED, "--services=gcp", "--project=p"], 2, "--protocol vertex"),
        ([STORED, "--prediction_url=ftp://h"], 2, "ftp://h"),
        ([STORED, "--prediction_url=http://[bad"], 2, "http://[bad"),
        ([LOCAL, "--model_version=v/1"], 2, "not a Cloud ML Engine version: 'v/1'"),
        ([LOCAL, "--model_version="], 2, "not a Cloud ML Engine version: ''"),
        ([LOCAL, "--model_name=a\nb"], 2, "not a Cloud ML Engine model: 'a\\nb'"),
        ([LOCAL, "--model_name=A", "--protocol=vertex"], 2, "not a Vertex AI model: 'A'"),
        ([LOCAL, "--model_version=2", "--protocol=vertex"], 2, "--model_version a name"),
        ([STORED, "--endpoint=e"], 2, "--endpoint is for --protocol vertex"),
        ([STORED, "--machine_type=m"], 2, "--machine_type is for --protocol vertex"),
        ([STORED, "--region=r"], 2, "--region is for --protocol vertex"),
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
    words = ["deploy", f"--model_name={model_name}", "--model_version=v1", *flags]
    done = command(*words, environment=stack_environment, directory=tmp_path)
    assert done.returncode == code
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "copying" not in done.stderr
