"""Vertex AI jobs end to end: lines in the storage service, predicted by the prediction service."""

import json

import pytest

from tf_dataflow_serving.inference.batch_job import BatchJob, JobState, JobStatus, wait
from tf_dataflow_serving.inference.endpoint import VertexModel
from tf_dataflow_serving.inference.errors import EndpointRefused, JobFailed, PredictionRejected
from tf_dataflow_serving.inference.transport import MissingResource
from tf_dataflow_serving.inference.vertex_job import VertexJobClient, VertexJobResults

TIMEOUT = 60.0


@pytest.fixture
def client(service_url) -> VertexJobClient:
    return VertexJobClient(VertexModel(service_url, "p", model="weights"), "key")


def job(bucket, pattern="in/*", **more) -> BatchJob:
    return BatchJob([f"gs://{bucket.name}/{pattern}"], f"gs://{bucket.name}/out", **more)


def keyed(instances: list) -> list[dict]:
    return [instance | {"key": f"k{index}"} for index, instance in enumerate(instances)]


def lines(bucket, status: JobStatus, prefix: str) -> list[str]:
    """Return the lines of the objects below a job's directory whose names begin so."""
    directory = status.output_directory.removeprefix(f"gs://{bucket.name}/").rstrip("/")
    return [
        line
        for blob in bucket.list_blobs(prefix=f"{directory}/{prefix}")
        for line in blob.download_as_text().splitlines()
    ]


def test_results_join_to_the_inputs_by_key(bucket, put, client, instances, signature):
    put("in/0", *keyed(instances)[:20])
    put("in/1", *keyed(instances)[20:])
    client.require_model()
    seen = []
    status = wait(client, client.submit(job(bucket, max_workers=2)), TIMEOUT, seen.append)
    assert (status.state, status.predictions, status.errors) == (JobState.SUCCEEDED, 50, 0)
    assert status.output_directory.startswith(f"gs://{bucket.name}/out/prediction-")
    assert seen[-1] == status
    estimates = dict(VertexJobResults().parse(line) for line in lines(bucket, status, "prediction"))
    for index, expected in enumerate(signature.predict(instances)):
        assert estimates[f"k{index}"] == pytest.approx(expected)


def test_bad_lines_are_counted_and_lose_no_others(bucket, put, client, instances):
    rows = keyed(instances)
    put("in/0", *rows[:10], "{", rows[10] | {"mother_age": "old"}, *rows[11:])
    status = wait(client, client.submit(job(bucket)), TIMEOUT)
    assert (status.predictions, status.errors) == (49, 2)
    predicted = [json.loads(line)["key"] for line in lines(bucket, status, "prediction.results")]
    assert sorted(predicted) == sorted(f"k{i}" for i in range(50) if i != 10)


def test_a_job_without_input_says_why_it_fails(bucket, client):
    with pytest.raises(JobFailed, match=r"FAILED: .*nothing"):
        wait(client, client.submit(job(bucket, "nothing/*")), TIMEOUT)


def test_a_cancelled_job_has_failed(bucket, put, client, instances):
    put("in/0", *keyed(instances * 400))
    job_id = client.submit(job(bucket, batch_size=1))
    client.cancel(job_id)
    with pytest.raises(JobFailed, match="CANCELLED"):
        wait(client, job_id, TIMEOUT)


def test_a_model_that_does_not_exist_is_refused(service_url, bucket):
    client = VertexJobClient(VertexModel(service_url, "p", model="nothing"), "key")
    with pytest.raises(MissingResource, match="nothing"):
        client.require_model()
    with pytest.raises(EndpointRefused, match="nothing"):
        client.submit(job(bucket))


def test_a_job_that_makes_no_sense_is_rejected(client):
    with pytest.raises(PredictionRejected):
        client.submit(BatchJob(["/etc/passwd"], "gs://b/out"))


def test_a_job_that_does_not_exist_is_missing(client):
    with pytest.raises(MissingResource, match="9"):
        client.status("projects/p/locations/us-central1/batchPredictionJobs/9")
