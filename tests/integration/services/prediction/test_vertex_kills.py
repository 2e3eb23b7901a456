"""Models, endpoints and what is deployed outlive a process that is killed, and jobs go on."""

import signal
from contextlib import ExitStack

import pytest

from tf_dataflow_serving.services.process import ServiceProcess

from .vertex_location import DEADLINE_SECONDS, Location, new_name

MODULE = "tf_dataflow_serving.services.prediction"


@pytest.fixture
def start(storage_url, model_dir, tmp_path):
    running: list[ServiceProcess] = []

    def started() -> ServiceProcess:
        flags = ["--storage_url", storage_url, "--data_dir", str(tmp_path / "data")]
        flags += ["--deploy", f"doubler:v1={model_dir}"]
        log = tmp_path / "log"
        running.append(ServiceProcess.start("prediction", MODULE, flags, log, {}))
        return running[-1]

    yield started
    for service in running:
        service.stop()


@pytest.fixture
def at():
    """Return what connects to a service, at one location."""
    name = new_name()
    with ExitStack() as connections:

        def connected(service: ServiceProcess) -> Location:
            location = Location(f"http://127.0.0.1:{service.ports['http']}", name)
            connections.enter_context(location.http)
            return location

        yield connected


def test_all_is_there_again(start, at, model_uri):
    service = start()
    location = at(service)
    location.upload(model_uri, modelId="m", model={"versionAliases": ["golden"]})
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    location.deploy("e", "m@golden", {"0": 100})
    paths = ("/models/m@golden", "/models", "/endpoints/e", "/endpoints")
    before = [location.ask("GET", path) for path in paths]
    answer = location.predict("e", 4)
    service.process.send_signal(signal.SIGKILL)
    service.process.wait(DEADLINE_SECONDS)

    location = at(start())
    assert [location.ask("GET", path) for path in paths] == before
    assert location.predict("e", 4) == answer == {**answer, "predictions": [8.0]}
    assert location.predict("doubler", 4)["predictions"] == [8.0]


def test_a_job_goes_on(start, at, bucket, model_uri):
    bucket.blob("in/a").upload_from_string("1\n" * 5_000)
    service = start()
    location = at(service)
    location.upload(model_uri, modelId="m")
    path = location.start_job(bucket.name, "m")
    location.job(path, lambda job: job["state"] == "JOB_STATE_RUNNING" or job.get("endTime"))
    service.process.send_signal(signal.SIGKILL)
    service.process.wait(DEADLINE_SECONDS)

    location = at(start())
    job = location.job(path, lambda job: job.get("endTime"))
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert job["completionStats"] == {"successfulCount": "5000", "failedCount": "0"}
    prefix = job["outputInfo"]["gcsOutputDirectory"].removeprefix(f"gs://{bucket.name}/")
    results = [
        line
        for blob in bucket.list_blobs(prefix=f"{prefix}/prediction.results-")
        for line in blob.download_as_text().splitlines()
    ]
    assert results == ['{"instance":1,"prediction":2.0}'] * 5_000
