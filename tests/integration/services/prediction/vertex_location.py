"""Vertex AI v1 as plain HTTP, in a location that is a test's own."""

import time
import uuid
from collections.abc import Callable

import httpx

DEADLINE_SECONDS = 60.0


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
