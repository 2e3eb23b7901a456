"""Vertex AI jobs through a server that loses requests and answers on purpose."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tf_dataflow_serving.inference.batch_job import BatchJob, JobState
from tf_dataflow_serving.inference.endpoint import VertexModel
from tf_dataflow_serving.inference.errors import EndpointRefused
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.transport import MissingResource
from tf_dataflow_serving.inference.vertex_job import VertexJobClient

QUICK = RetryPolicy(initial=0.001, maximum=0.01, deadline=20.0)
PARENT = "projects/p/locations/us-central1"
JOB = BatchJob(["gs://b/in/*"], "gs://b/out", max_workers=3, batch_size=7)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._loses("before POST"):
            return
        answer = self._post(unquote(self.path), body)
        if not self._loses("after POST"):
            self._answer(200, answer)

    def do_GET(self) -> None:
        if not self._loses("before GET"):
            self._answer(*self._get(urlsplit(self.path)))

    def _post(self, path: str, body: dict) -> dict:
        if path.endswith(":cancel"):
            self.server.jobs[path.removeprefix("/v1/").removesuffix(":cancel")]["state"] = (
                "JOB_STATE_CANCELLING"
            )
            return {}
        assert path == f"/v1/{PARENT}/batchPredictionJobs"
        name = f"{PARENT}/batchPredictionJobs/{len(self.server.jobs) + 1}"
        self.server.jobs[name] = {**body, "name": name, "state": "JOB_STATE_QUEUED"}
        return self.server.jobs[name]

    def _get(self, url) -> tuple[int, dict]:
        name = unquote(url.path).removeprefix("/v1/")
        if name.endswith("/batchPredictionJobs"):
            (condition,) = parse_qs(url.query)["filter"]
            wanted = re.fullmatch(r'display_name="(.*)"', condition)[1]
            jobs = [job for job in self.server.jobs.values() if job["displayName"] == wanted]
            return 200, {"batchPredictionJobs": jobs} if jobs else {}
        found = {**self.server.jobs, f"{PARENT}/models/m@v1": {}}.get(name)
        return (404, {}) if found is None else (200, found)

    def _loses(self, moment: str) -> bool:
        """Close the connection if the next of the losses is to come now."""
        if self.server.losses[:1] != [moment]:
            return False
        del self.server.losses[0]
        self.close_connection = True
        return True

    def _answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, dict] = {}
        self.losses: list[str] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = Thread(target=serving.serve_forever, args=[0.01])
        thread.start()
        yield serving
        serving.shutdown()
        thread.join(30)


@pytest.fixture
def client(server) -> VertexJobClient:
    model = VertexModel(f"http://127.0.0.1:{server.server_port}", "p", model="m")
    return VertexJobClient(model, "id", QUICK)


def test_a_job_says_what_to_predict_and_where(server, client):
    job_id = client.submit(JOB)
    job = server.jobs[job_id]
    assert job.pop("displayName").startswith("m_")
    assert job == {
        "name": job_id,
        "state": "JOB_STATE_QUEUED",
        "model": f"{PARENT}/models/m@v1",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://b/in/*"]}},
        "instanceConfig": {"keyField": "id"},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://b/out"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-2"},
            "startingReplicaCount": 1,
            "maxReplicaCount": 3,
        },
        "manualBatchTuningParameters": {"batchSize": 7},
    }


@pytest.mark.parametrize(
    "losses",
    [
        ["after POST"],
        ["before POST"],
        ["before GET", "before POST", "before GET", "after POST", "before GET"],
    ],
    ids=" ".join,
)
def test_what_is_lost_on_the_way_starts_no_second_job(server, client, losses):
    server.losses = [*losses]
    job_id = client.submit(JOB)
    assert server.losses == []
    assert list(server.jobs) == [job_id]


def test_each_job_is_one_of_its_own(server, client):
    assert client.submit(JOB) != client.submit(JOB)
    assert len(server.jobs) == 2


def test_a_job_is_followed_and_cancelled_by_its_name(client):
    job_id = client.submit(JOB)
    assert client.status(job_id).state is JobState.QUEUED
    client.cancel(job_id)
    assert client.status(job_id).state is JobState.CANCELLING


def test_a_job_that_does_not_exist_is_missing(client):
    with pytest.raises(EndpointRefused):
        client.status(f"{PARENT}/batchPredictionJobs/9")


def test_the_model_is_asked_for(client, server):
    client.require_model()
    missing = VertexModel(f"http://127.0.0.1:{server.server_port}", "p", model="other")
    with pytest.raises(MissingResource):
        VertexJobClient(missing, "id", QUICK).require_model()
