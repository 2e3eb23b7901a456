"""Vertex AI v1 of the service as a process: what official clients do not show."""

import json
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from tf_dataflow_serving.services.prediction.http_json import MAX_BODY_BYTES
from tf_dataflow_serving.services.process import ServiceProcess

DEADLINE_SECONDS = 60.0
MODULE = "tf_dataflow_serving.services.prediction"


class Location:
    """One location of one project, below which nobody else changes anything."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.http = httpx.Client(base_url=f"{url}/v1/{name}", timeout=30)

    def ask(self, method: str, path: str, body: object = None, **query: object) -> dict:
        response = self.http.request(method, path, json=body, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def refusal(self, method: str, path: str, body: object = None) -> dict:
        response = self.http.request(method, path, json=body)
        error = response.json()["error"]
        assert error["code"] == response.status_code >= 400
        return error

    def finished(self, operation: dict) -> dict:
        """Wait as the API offers it; return the operation once it is done."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not operation.get("done"):
            assert time.monotonic() < end, operation
            path = operation["name"].removeprefix(self.name)
            operation = self.ask("POST", f"{path}:wait", {"timeout": "5s"})
        return operation

    def upload(self, model_uri: str, **given: object) -> dict:
        """Return the response of the operation."""
        model = {"displayName": "M", "artifactUri": model_uri, **given.pop("model", {})}
        operation = self.ask("POST", "/models:upload", {"model": model, **given})
        return self.finished(operation)["response"]

    def deploy(self, endpoint: str, model: str, traffic: dict[str, int], **given: object) -> dict:
        body = {"deployedModel": {"model": f"{self.name}/models/{model}", **given}}
        operation = self.ask(
            "POST", f"/endpoints/{endpoint}:deployModel", body | {"trafficSplit": traffic}
        )
        return self.finished(operation)

    def start_job(self, bucket: str, model: str) -> str:
        """Return the path of a job that predicts one instance at a time."""
        body = {
            "displayName": "J",
            "model": f"{self.name}/models/{model}",
            "inputConfig": {
                "instancesFormat": "jsonl",
                "gcsSource": {"uris": [f"gs://{bucket}/in/*"]},
            },
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/out"},
            },
            "manualBatchTuningParameters": {"batchSize": 1},
        }
        job = self.ask("POST", "/batchPredictionJobs", body)
        return job["name"].removeprefix(self.name)

    def job(self, path: str, reached: Callable[[dict], object]) -> dict:
        """Poll, as the API asks its users to, until a job has come so far."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not reached(job := self.ask("GET", path)):
            assert time.monotonic() < end, job
            time.sleep(0.02)
        return job

    def predict(self, endpoint: str, *instances: object) -> dict:
        return self.ask("POST", f"/endpoints/{endpoint}:predict", {"instances": instances})


def new_name() -> str:
    return f"projects/p{uuid.uuid4().hex}/locations/us-central1"


@pytest.fixture
def location(service_url):
    here = Location(service_url, new_name())
    with here.http:
        yield here


def test_a_deployed_model_is_in_every_location(location):
    answer = location.predict("doubler", 1.5, {"x": 2})
    assert answer == {
        "predictions": [3.0, 4.0],
        "deployedModelId": "1",
        "model": f"{location.name}/models/doubler",
        "modelDisplayName": "doubler",
        "modelVersionId": "1",
    }
    assert location.ask("GET", "/models/doubler@v1")["name"].endswith("/models/doubler@1")


def test_parameters_are_let_pass(location):
    body = {"instances": [1], "parameters": {"confidence": 0.5}}
    assert location.ask("POST", "/endpoints/doubler:predict", body)["predictions"] == [2.0]


def test_a_raw_prediction_is_in_the_forms_of_tensorflow_serving(location):
    body = {"signature_name": "predict_keyed", "inputs": {"x": [1, 2], "key": ["a", "b"]}}
    response = location.http.post("/endpoints/doubler:rawPredict", json=body)
    assert response.json() == {"outputs": {"y": [2.0, 4.0], "key": ["a", "b"]}}
    assert response.headers["X-Vertex-AI-Deployed-Model-Id"] == "1"
    assert response.headers["X-Vertex-AI-Model"] == f"{location.name}/models/doubler"
    assert response.headers["X-Vertex-AI-Model-Version-Id"] == "1"


@pytest.mark.parametrize("method", ["predict", "rawPredict"])
def test_one_bad_instance_fails_all(location, method):
    error = location.refusal("POST", f"/endpoints/doubler:{method}", {"instances": [1, "a"]})
    assert error["status"] == "INVALID_ARGUMENT"
    assert json.loads(error["message"])["error"].startswith("Error processing input: Expected")


@pytest.mark.parametrize("body", [None, {}, {"instances": []}, {"instances": 1}, []])
@pytest.mark.parametrize("method", ["predict", "rawPredict"])
def test_a_request_needs_instances(location, method, body):
    error = location.refusal("POST", f"/endpoints/doubler:{method}", body)
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")


def test_a_request_has_a_limit(location):
    body = b'{"instances": [%b]}' % b",".join([b"1"] * (MAX_BODY_BYTES // 2))
    response = location.http.post("/endpoints/doubler:predict", content=body)
    assert response.json()["error"] == {
        "code": 400,
        "message": f"The request size ({len(body)} bytes) exceeds 1.500MB limit.",
        "status": "INVALID_ARGUMENT",
    }


@pytest.mark.parametrize(
    "content", [None, 1, [], {}, {"data": 1}, {"data": "a"}, {"data": ""}, {"data": "e30="}]
)
def test_a_wrapped_body_that_makes_no_sense_is_refused(location, content):
    error = location.refusal("POST", "/endpoints/doubler:rawPredict", {"httpBody": content})
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")


def test_an_endpoint_without_traffic_does_not_answer(location):
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    error = location.refusal("POST", "/endpoints/e:predict", {"instances": [1]})
    assert error["status"] == "FAILED_PRECONDITION"
    assert error["message"].endswith("doesn't have traffic_split.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models/none"),
        ("GET", "/models/doubler@2"),
        ("DELETE", "/models/none"),
        ("GET", "/endpoints/none"),
        ("POST", "/endpoints/none:predict"),
        ("DELETE", "/endpoints/none"),
        ("GET", "/batchPredictionJobs/1"),
        ("POST", "/batchPredictionJobs/1:cancel"),
        ("DELETE", "/batchPredictionJobs/1"),
        ("GET", "/operations/1"),
        ("POST", "/models/doubler/operations/1:wait"),
        ("DELETE", "/endpoints/doubler/operations/1"),
        ("GET", "/datasets"),
        ("PUT", "/models/doubler"),
    ],
)
def test_what_is_not_there_is_not_found(location, method, path):
    error = location.refusal(method, path, {} if method == "POST" else None)
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["/endpoints/doubler:explain", "/endpoints/doubler:streamRawPredict", "/models:copy"]
)
def test_what_is_left_out_is_named(location, path):
    error = location.refusal("POST", path, {})
    assert (error["code"], error["status"]) == (501, "UNIMPLEMENTED")
    assert path in error["message"]


def test_a_wrong_field_is_named(location):
    error = location.refusal("POST", "/endpoints", {"displayName": 1})
    assert error["message"] == (
        "List of found errors:\t1.Field: endpoint.display_name; Message: A string is expected.\t"
    )
    (violation,) = error["details"][0]["fieldViolations"]
    assert violation == {"field": "endpoint.display_name", "description": "A string is expected."}


def test_an_upload_is_an_operation(location, model_uri):
    body = {"model": {"displayName": "M", "artifactUri": model_uri}, "modelId": "m"}
    operation = location.finished(location.ask("POST", "/models:upload", body))
    assert operation["metadata"]["@type"].endswith(".UploadModelOperationMetadata")
    assert operation["metadata"]["genericMetadata"]["createTime"]
    assert operation["response"]["model"] == f"{location.name}/models/m"
    assert operation["response"]["modelVersionId"] == "1"
    listed = location.ask("GET", "/models/m/operations")["operations"]
    assert [one["name"] for one in listed] == [operation["name"]]
    location.ask("POST", f"{operation['name'].removeprefix(location.name)}:cancel", {})
    location.ask("DELETE", operation["name"].removeprefix(location.name))
    assert location.ask("GET", "/models/m/operations") == {"operations": []}


@pytest.mark.parametrize("timeout", ["5", "-1s", "1m", 5])
def test_an_operation_is_waited_for_by_seconds(location, model_uri, timeout):
    body = {"model": {"displayName": "M", "artifactUri": model_uri}}
    operation = location.ask("POST", "/models:upload", body)
    path = f"{operation['name'].removeprefix(location.name)}:wait"
    assert location.refusal("POST", path, {"timeout": timeout})["status"] == "INVALID_ARGUMENT"
    assert "response" in location.finished(operation)


def test_an_upload_without_a_saved_model_says_why(location, bucket):
    model = {"displayName": "M", "artifactUri": f"gs://{bucket.name}/nothing"}
    operation = location.ask("POST", "/models:upload", {"model": model, "modelId": "m"})
    error = location.finished(operation)["error"]
    assert error["code"] == 9
    assert "no saved_model.pb" in error["message"]
    assert location.refusal("GET", "/models/m")["status"] == "NOT_FOUND"


def test_the_traffic_goes_to_all_versions_by_their_parts(location, model_uri):
    for given in ({"modelId": "m"}, {"parentModel": f"{location.name}/models/m"}):
        location.upload(model_uri, **given)
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    location.deploy("e", "m@1", {"0": 100}, id="1")
    location.deploy("e", "m@2", {"1": 50, "0": 50}, id="2")
    answers = {
        (answer["deployedModelId"], answer["modelVersionId"])
        for answer in (location.predict("e", 1) for _ in range(40))
    }
    assert answers == {("1", "1"), ("2", "2")}
    location.ask("PATCH", "/endpoints/e", {"trafficSplit": {"2": 100}}, updateMask="trafficSplit")
    assert {location.predict("e", 1)["deployedModelId"] for _ in range(20)} == {"2"}


def test_what_is_deployed_is_not_deleted(location, model_uri):
    location.upload(model_uri, modelId="m")
    location.upload(model_uri, parentModel=f"{location.name}/models/m")
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    location.deploy("e", "m@2", {"0": 100}, id="7")
    for method, path in (
        ("DELETE", "/models/m"),
        ("DELETE", "/models/m@2:deleteVersion"),
        ("DELETE", "/models/m@1:deleteVersion"),
        ("DELETE", "/endpoints/e"),
    ):
        assert location.refusal(method, path)["status"] == "FAILED_PRECONDITION"
    location.ask("POST", "/endpoints/e:undeployModel", {"deployedModelId": "7"})
    assert location.ask("DELETE", "/models/m@2:deleteVersion")["done"]
    assert location.ask("DELETE", "/models/m")["done"]
    assert location.ask("DELETE", "/endpoints/e")["done"]


def test_an_enum_is_a_name_or_a_number(location, model_uri):
    location.upload(model_uri, modelId="m")
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    for accelerator in (8, "NVIDIA_TESLA_P100"):
        machine = {"machineType": "n1-standard-2", "acceleratorType": accelerator}
        resources = {"machineSpec": machine, "minReplicaCount": 1}
        done = location.deploy("e", "m", {}, dedicatedResources=resources)
        assert done["response"]["deployedModel"]["dedicatedResources"] == resources


class TestKill:
    """Models, endpoints and what is deployed outlive a process that is killed."""

    @pytest.fixture
    def start(self, storage_url, model_dir, tmp_path):
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
    def at(self):
        """Return what connects to a service, at one location."""
        name = new_name()
        with ExitStack() as connections:

            def connected(service: ServiceProcess) -> Location:
                location = Location(f"http://127.0.0.1:{service.ports['http']}", name)
                connections.enter_context(location.http)
                return location

            yield connected

    def test_all_is_there_again(self, start, at, model_uri):
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

    def test_a_job_goes_on(self, start, at, bucket, model_uri):
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
