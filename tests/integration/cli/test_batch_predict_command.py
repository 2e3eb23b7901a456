"""`batch-predict`: a job from its submission to its counts."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping

import pytest
from google.cloud import storage

from tf_dataflow_serving.inference.batch_job import JobState, wait
from tf_dataflow_serving.inference.cmle_job import CmleJobClient
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.natality.instance import SAMPLE
from tf_dataflow_serving.services.stack import Stack

from .command_line import TIMEOUT, command

GOOD, BAD = json.dumps(SAMPLE), '{"is_male": "True"}'


@pytest.fixture
def bucket(on_stack: Stack) -> storage.Bucket:
    client = storage.Client(project=on_stack.endpoints.project)
    return client.create_bucket(f"jobs-{uuid.uuid4().hex}")


def upload(bucket: storage.Bucket, *lines: str) -> list[str]:
    """Put the lines where a job reads them; return the flags for it."""
    bucket.blob("in/instances.jsonl").upload_from_string("\n".join(lines))
    return [f"--input=gs://{bucket.name}/in/*", f"--output=gs://{bucket.name}/out"]


def results(bucket: storage.Bucket, directory: str) -> list[object]:
    prefix = directory.removeprefix(f"gs://{bucket.name}/")
    return [
        json.loads(line)
        for blob in bucket.list_blobs(prefix=f"{prefix}/prediction.results")
        for line in blob.download_as_text().splitlines()
    ]


def test_a_job_on_cloud_ml_engine(
    bucket: storage.Bucket, stack_environment: Mapping[str, str]
) -> None:
    flags = upload(bucket, GOOD, BAD, GOOD, "not json")
    done = command("batch-predict", *flags, "--json", environment=stack_environment)
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["state"], status["predictions"], status["errors"]) == ("SUCCEEDED", 2, 2)
    assert status["node_hours"] > 0
    (pounds,) = estimate_local([SAMPLE])
    assert (
        results(bucket, status["output_directory"])
        == [{"predictions": [pytest.approx(pounds)]}] * 2
    )


def test_a_job_on_vertex_ai(bucket: storage.Bucket, stack_environment: Mapping[str, str]) -> None:
    lines = [json.dumps({**SAMPLE, "key": key}) for key in ("a", "b")]
    flags = [*upload(bucket, *lines, BAD), "--protocol=vertex", "--key_field=key", "--json"]
    done = command("batch-predict", *flags, environment=stack_environment)
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["predictions"], status["errors"]) == (2, 1)
    found = results(bucket, status["output_directory"])
    (pounds,) = estimate_local([SAMPLE])
    assert found == [{"key": key, "prediction": [pytest.approx(pounds)]} for key in ("a", "b")]


def test_vertex_ai_without_a_key_gives_the_instances_again(
    bucket: storage.Bucket, stack_environment: Mapping[str, str]
) -> None:
    flags = [*upload(bucket, GOOD), "--protocol=vertex", "--json"]
    done = command("batch-predict", *flags, environment=stack_environment)
    assert done.returncode == 0, done.stderr
    (result,) = results(bucket, json.loads(done.stdout)["output_directory"])
    assert isinstance(result, dict)
    assert result["instance"] == SAMPLE


def test_states_and_counts_are_told(
    bucket: storage.Bucket, stack_environment: Mapping[str, str]
) -> None:
    done = command("batch-predict", *upload(bucket, GOOD), environment=stack_environment)
    assert done.stderr.startswith("submitted babyweight_estimator_")
    assert done.stderr.splitlines()[-1] == "SUCCEEDED: 1 predicted, 0 failed"
    assert "SUCCEEDED: 1 predictions, 0 errors" in done.stdout
    assert "s of node time" in done.stdout
    assert f"results in gs://{bucket.name}/out" in done.stdout


def test_ctrl_c_leaves_the_job_alone(
    bucket: storage.Bucket, stack: Stack, stack_environment: Mapping[str, str]
) -> None:
    words = [sys.executable, "-m", "tf_dataflow_serving", "batch-predict"]
    with subprocess.Popen(
        [*words, *upload(bucket, *[GOOD] * 30_000)],
        env=dict(stack_environment),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        job_id = process.stderr.readline().split()[-1]
        process.send_signal(signal.SIGINT)
        assert f"job {job_id} goes on" in process.stderr.read()
        assert process.wait(TIMEOUT) == 128 + signal.SIGINT
    endpoint = PredictionEndpoint(str(stack.endpoints.prediction), stack.endpoints.project)
    status = wait(CmleJobClient(endpoint), job_id, timeout=60)
    assert (status.state, status.predictions) == (JobState.SUCCEEDED, 30_000)


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [
        (["--input=here", "--output=gs://b/o"], 2, "here is not of the form gs://"),
        (["--input=gs://b/i", "--output=there"], 2, "there is not of the form gs://"),
        (["--input=gs://b/i", "--output=gs://b/o", "--model_name=nobody"], 1, "nobody"),
        (["--input=gs://no-such-bucket-1/i", "--output=gs://b/o"], 1, "no-such-bucket-1"),
        (
            ["--input=gs://b/i", "--output=gs://b/o", "--model_name=nobody", "--protocol=vertex"],
            1,
            "nobody",
        ),
    ],
)
def test_a_mistake_is_one_line(
    flags: list[str], code: int, named: str, stack_environment: Mapping[str, str]
) -> None:
    done = command("batch-predict", *flags, environment=stack_environment)
    assert done.returncode == code
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
