"""Batch prediction jobs over objects on gs://, in all shapes that these have."""

import ast
import gzip
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tf_dataflow_serving.services.prediction.jobs.pieces import PIECE_BYTES

DEADLINE_SECONDS = 60.0
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
JOBS = "/v1/projects/p/jobs"


@pytest.fixture
def client(service_url) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=DEADLINE_SECONDS) as opened:
        yield opened


@pytest.fixture
def submit(client, bucket) -> Callable[..., str]:
    """Submits a job over the bucket and returns its path."""

    def start(**request: str) -> str:
        job_id = f"j{uuid.uuid4().hex}"
        given = {
            "dataFormat": "JSON",
            "inputPaths": [f"gs://{bucket.name}/in/*"],
            "outputPath": f"gs://{bucket.name}/out",
            "region": "us-central1",
            "modelName": "projects/p/models/doubler",
            "signatureName": "predict_keyed",
            **request,
        }
        body = {"jobId": job_id, "predictionInput": given}
        client.post(JOBS, json=body).raise_for_status()
        return f"{JOBS}/{job_id}"

    return start


def until(client, path, done) -> dict[str, Any]:
    end = time.monotonic() + DEADLINE_SECONDS
    while not done(job := client.get(path).raise_for_status().json()):
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return job


def finished(client, path) -> dict[str, Any]:
    job = until(client, path, lambda job: job["state"] in FINAL)
    assert job["state"] == "SUCCEEDED", job
    return job["predictionOutput"]


def line(number: int, end: str = "\n") -> str:
    return f'{{"x": {number}, "key": "{number:0240d}"}}{end}'


ROWS_OF_A_PIECE = PIECE_BYTES // len(line(0))


def keys(bucket) -> dict[str, list[int]]:
    """The keys in each object of results, whose predictions have been checked."""
    found = {}
    for blob in bucket.list_blobs(prefix="out/prediction.results"):
        rows = [json.loads(text) for text in blob.download_as_text().splitlines()]
        assert all(row["y"] == 2.0 * int(row["key"]) for row in rows)
        found[blob.name.removeprefix("out/")] = [int(row["key"]) for row in rows]
    return found


def errors(bucket) -> dict[str, int]:
    text = bucket.blob("out/prediction.errors_stats-00000-of-00001").download_as_text()
    return dict(ast.literal_eval(entry) for entry in text.splitlines())


@pytest.mark.parametrize(("workers", "files"), [("1", 1), ("2", 2), ("1000", 4)])
def test_one_object_is_shared_among_no_more_workers_than_allowed(
    client, bucket, submit, workers, files
):
    rows = int(3.5 * ROWS_OF_A_PIECE)
    bucket.blob("in/a").upload_from_string("".join(map(line, range(rows))))
    output = finished(client, submit(maxWorkerCount=workers))
    assert output["predictionCount"] == str(rows)
    found = keys(bucket)
    assert list(found) == [f"prediction.results-{i:05d}-of-{files:05d}" for i in range(files)]
    assert all(found.values())
    assert sorted(key for part in found.values() for key in part) == list(range(rows))


def test_objects_of_all_shapes_are_read(client, bucket, submit):
    big = 2 * ROWS_OF_A_PIECE
    contents = {
        "empty": "",
        "windows": line(0, "\r\n") + line(1, "\r\n"),
        "no-end": line(2) + line(3, ""),
        "blank": f"\n{line(4)} \n\r\n\n{line(5)}\n",
        "long": f'{{"x": 6,{" " * 3 * PIECE_BYTES}"key": "6"}}\n{line(7)}',
        "small.gz": gzip.compress((line(8) + line(9)).encode()),
        "big.gz": gzip.compress("".join(line(i) for i in range(10, big)).encode()),
    }
    for name, content in contents.items():
        bucket.blob(f"in/{name}").upload_from_string(content)
    output = finished(client, submit())
    assert (output["predictionCount"], output["errorCount"]) == (str(big), "0")
    assert sorted(key for part in keys(bucket).values() for key in part) == list(range(big))


def test_bad_lines_anywhere_are_counted_and_lose_no_others(client, bucket, submit):
    rows = 2 * ROWS_OF_A_PIECE
    bad = {0: "{\n", 1: '{"x": 1}\n', rows // 2: '{"x": "many", "key": "a"}\n', rows - 1: "[1]\n"}
    bucket.blob("in/a").upload_from_string("".join(bad.get(i, line(i)) for i in range(rows)))
    output = finished(client, submit(batchSize="100"))
    assert (output["predictionCount"], output["errorCount"]) == (str(rows - len(bad)), "4")
    found = sorted(key for part in keys(bucket).values() for key in part)
    assert found == [i for i in range(rows) if i not in bad]
    counts = errors(bucket)
    assert sum(counts.values()) == len(bad)
    assert any("the line is not JSON" in message for message in counts)


def test_a_request_that_could_not_be_shown_again_is_refused(client):
    body = b'{"jobId": "j", "predictionInput": {"more": %s%s}}' % (b"[" * 500, b"]" * 500)
    response = client.post(JOBS, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_a_job_is_cancelled_in_the_middle_and_publishes_nothing(client, bucket, submit):
    content = "".join(map(line, range(15 * ROWS_OF_A_PIECE)))
    bucket.blob("in/a").upload_from_string(content)
    path = submit(batchSize="4")
    until(client, path, lambda job: int(job["predictionOutput"]["predictionCount"]) > 0)
    client.post(f"{path}:cancel").raise_for_status()
    job = until(client, path, lambda job: job["state"] in FINAL)
    assert job["state"] == "CANCELLED"
    assert 0 < int(job["predictionOutput"]["predictionCount"]) < 15 * ROWS_OF_A_PIECE
    assert list(bucket.list_blobs(prefix="out/")) == []


def test_an_object_that_is_written_over_fails_the_job_that_reads_it(client, bucket, submit):
    content = "".join(map(line, range(10 * ROWS_OF_A_PIECE)))
    bucket.blob("in/a").upload_from_string(content)
    path = submit(batchSize="4", maxWorkerCount="1")
    until(client, path, lambda job: int(job["predictionOutput"]["predictionCount"]) > 0)
    bucket.blob("in/a").upload_from_string(content[::-1])
    job = until(client, path, lambda job: job["state"] in FINAL)
    assert job["state"] == "FAILED"
    assert f"gs://{bucket.name}/in/a was deleted or written over" in job["errorMessage"]
    assert list(bucket.list_blobs(prefix="out/")) == []
