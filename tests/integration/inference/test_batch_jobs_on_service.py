"""Cloud ML Engine jobs end to end: lines in storage, predicted by the prediction service."""

import json
from dataclasses import replace

import pytest

from tf_dataflow_serving.inference.batch_job import BatchJob, JobState, wait
from tf_dataflow_serving.inference.cmle_job import CmleJobClient
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import (
    EndpointRefused,
    JobFailed,
    PredictionRejected,
)

TIMEOUT = 60.0


@pytest.fixture
def client(endpoint) -> CmleJobClient:
    return CmleJobClient(replace(endpoint, signature_name="predict_keyed"))


@pytest.fixture
def plain_client(endpoint) -> CmleJobClient:
    """One of the default signature, which has no keys."""
    return CmleJobClient(endpoint)


def job(bucket, pattern="in/*", **more) -> BatchJob:
    return BatchJob([f"gs://{bucket.name}/{pattern}"], f"gs://{bucket.name}/out/", **more)


def results(bucket) -> dict[str, list]:
    return {
        blob.name: [json.loads(line) for line in blob.download_as_text().splitlines()]
        for blob in bucket.list_blobs(prefix="out/prediction.results")
    }


def test_results_join_to_the_inputs_by_key(bucket, put, client, instances, signature):
    keyed = [instance | {"key": f"k{index}"} for index, instance in enumerate(instances)]
    put("in/0", *keyed[:20])
    put("in/1", *keyed[20:])
    seen = []
    status = wait(client, client.submit(job(bucket)), TIMEOUT, seen.append)
    assert (status.state, status.predictions, status.errors) == (JobState.SUCCEEDED, 50, 0)
    assert status.node_hours > 0
    assert status.output_directory == f"gs://{bucket.name}/out/"
    assert seen[-1] == status
    written = results(bucket)
    assert sorted(written) == [f"out/prediction.results-{i:05d}-of-00002" for i in range(2)]
    estimates = {row["key"]: row["predictions"] for rows in written.values() for row in rows}
    for index, expected in enumerate(signature.predict(instances)):
        assert estimates[f"k{index}"] == [pytest.approx(expected)]


def test_bad_lines_are_counted_and_lose_no_others(bucket, put, client, instances):
    keyed = [instance | {"key": f"k{index}"} for index, instance in enumerate(instances)]
    put("in/0", *keyed[:10], "{", keyed[10] | {"mother_age": "old"}, *keyed[11:])
    status = wait(client, client.submit(job(bucket)), TIMEOUT)
    assert (status.predictions, status.errors) == (49, 2)
    (rows,) = results(bucket).values()
    assert [row["key"] for row in rows] == [f"k{i}" for i in range(50) if i != 10]
    (errors,) = bucket.list_blobs(prefix="out/prediction.errors_stats")
    assert errors.name == "out/prediction.errors_stats-00000-of-00001"
    assert "Expected float32, got 'old'" in errors.download_as_text()


def test_the_default_signature_needs_no_name(bucket, put, plain_client, instances, signature):
    put("in/0", *instances)
    wait(plain_client, plain_client.submit(job(bucket, batch_size=50)), TIMEOUT)
    (rows,) = results(bucket).values()
    assert [row["predictions"][0] for row in rows] == signature.predict(instances)


def test_the_number_of_workers_is_a_limit(bucket, put, plain_client, instances):
    for index in range(3):
        put(f"in/{index}", *instances)
    wait(plain_client, plain_client.submit(job(bucket, max_workers=2)), TIMEOUT)
    assert len(results(bucket)) == 2


@pytest.mark.parametrize(
    ("pattern", "signature_name", "reason"),
    [
        ("nothing/*", None, "doesn't contain any input files"),
        ("in/*", "missing", '"missing" not found'),
    ],
)
def test_a_job_that_fails_says_why(bucket, put, endpoint, pattern, signature_name, reason):
    put("in/0", {})
    client = CmleJobClient(replace(endpoint, signature_name=signature_name))
    with pytest.raises(JobFailed, match=reason):
        wait(client, client.submit(job(bucket, pattern)), TIMEOUT)
    assert results(bucket) == {}


@pytest.fixture
def long_job(bucket, put, instances) -> BatchJob:
    """A job that does not end by itself while a test looks at it."""
    put("in/0", *(instance | {"key": "k"} for instance in instances * 400))
    return job(bucket, batch_size=1)


def test_a_cancelled_job_has_failed(bucket, client, long_job):
    job_id = client.submit(long_job)
    client.cancel(job_id)
    with pytest.raises(JobFailed, match="CANCELLED"):
        wait(client, job_id, TIMEOUT)
    assert results(bucket) == {}


def test_a_model_that_does_not_exist_is_refused(service_url, bucket):
    client = CmleJobClient(PredictionEndpoint(service_url, "p", "nothing"))
    with pytest.raises(EndpointRefused, match='"nothing" was not found'):
        client.submit(job(bucket))


def test_a_job_that_makes_no_sense_is_rejected(client):
    with pytest.raises(PredictionRejected, match="not a Cloud Storage path"):
        client.submit(BatchJob(["/etc/passwd"], "gs://b/out"))


def test_a_job_that_does_not_exist_is_refused(client):
    with pytest.raises(EndpointRefused, match='"nothing" was not found'):
        client.status("nothing")
