"""`batch-predict`: a job from its submission to its counts."""

import json
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from google.cloud import storage

from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.inference.polling import Polling
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


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_job_alone(
    bucket: storage.Bucket, stack_environment: Mapping[str, str], signal_number: int
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
        process.send_signal(signal_number)
        told = process.stderr.read()
        assert process.wait(TIMEOUT) == 128 + signal_number
    assert f"job {job_id} goes on: GET http://" in told
    assert ended(url_told(told))["state"] == "SUCCEEDED"


@pytest.mark.parametrize("protocol", ["cmle", "vertex"])
def test_a_job_that_takes_too_long_can_be_followed_and_cancelled(
    bucket: storage.Bucket, stack_environment: Mapping[str, str], protocol: str
) -> None:
    flags = [*upload(bucket, *[GOOD] * 100_000), f"--protocol={protocol}", "--timeout=0.01"]
    done = command("batch-predict", *flags, environment=stack_environment)
    assert done.returncode == 1
    *_, told, error = done.stderr.splitlines()
    assert "after 0.01 s; it goes on" in error
    assert httpx.post(f"{url_told(told)}:cancel", json={}, trust_env=False).status_code == 200
    assert ended(url_told(told))["state"].endswith("CANCELLED")


def url_told(text: str) -> str:
    """Return the URL by which a job that is left behind can be followed."""
    told = re.search(r"GET (\S+) follows it, POST \1:cancel ends it", text)
    assert told is not None
    return told[1]


def ended(url: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    for job in Polling().answers(lambda: httpx.get(url, trust_env=False).json(), timeout=60):
        if job["state"].endswith(("SUCCEEDED", "CANCELLED", "FAILED")):
            return job
    raise AssertionError(job)


PATHS = ["--input=gs://b/i", "--output=gs://b/o"]


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [
        (["--input=here", "--output=gs://b/o"], 2, "'here' is not of the form gs://"),
        (["--input=gs://b", "--output=gs://b/o"], 2, "'gs://b' is not of the form gs://"),
        (["--input=gs://b/i", "--output=there"], 2, "'there' is not of the form gs://"),
        (["--input=gs://b/i", "--output=gs:///x"], 2, "'gs:///x' is not of the form gs://"),
        ([*PATHS, "--key_field=k"], 2, "--key_field is for --protocol vertex"),
        ([*PATHS, "--signature_name=s", "--protocol=vertex"], 2, "is for --protocol cmle"),
        ([*PATHS, "--model_name=a\nb"], 2, "not a Cloud ML Engine model: 'a\\nb'"),
        ([*PATHS, "--prediction_url=http://"], 2, "not the URL of a prediction service"),
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
