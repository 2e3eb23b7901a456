"""Online predictions of Vertex AI v1, with the service as a process."""

import json
from urllib.parse import quote

import httpx
import pytest

from tf_dataflow_serving.services.prediction.http_json import MAX_BODY_BYTES


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


@pytest.mark.parametrize("project", ["プ", "p\r\nX-Evil: yes"])
def test_a_project_of_any_name_fits_into_a_header(service_url, project):
    name = f"projects/{quote(project)}/locations/l"
    url = f"{service_url}/v1/{name}/endpoints/doubler:rawPredict"
    response = httpx.post(url, json={"instances": [1]}, timeout=30)
    assert response.json() == {"predictions": [2.0]}
    assert response.headers["X-Vertex-AI-Model"] == f"{name}/models/doubler"
    assert "X-Evil" not in response.headers


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
