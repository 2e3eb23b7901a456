"""TensorFlow Serving's REST API of the service as a process."""

import httpx
import pytest

MODEL = "/v1/models/doubler"


@pytest.fixture
def client(service_url):
    with httpx.Client(base_url=service_url, timeout=30) as http:
        yield http


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1", f"{MODEL}/versions/v1"])
def test_predicts_rows(client, path):
    response = client.post(f"{path}:predict", json={"instances": [1.0, 2.5]})
    assert response.status_code == 200
    assert response.json() == {"predictions": [2.0, 5.0]}


def test_predicts_columns_by_signature(client):
    body = {"signature_name": "predict_keyed", "inputs": {"x": [1, 2], "key": ["a", "b"]}}
    response = client.post(f"{MODEL}:predict", json=body)
    assert response.json() == {"outputs": {"y": [2.0, 4.0], "key": ["a", "b"]}}


def test_several_outputs_are_objects_by_name(client):
    body = {"signature_name": "predict_keyed", "instances": [{"x": 1, "key": "a"}]}
    response = client.post(f"{MODEL}:predict", json=body)
    assert response.json() == {"predictions": [{"y": 2.0, "key": "a"}]}


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1"])
def test_tells_the_status_of_versions(client, path):
    assert client.get(path).json() == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/none:predict", 404, "Servable not found for request: Latest(none)"),
        (
            "POST",
            f"{MODEL}/versions/7:predict",
            404,
            "Servable not found for request: Specific(doubler, 7)",
        ),
        ("GET", "/v1/models/none", 404, "Could not find any versions of model none"),
        ("GET", f"{MODEL}/versions/7", 404, "Could not find version 7 of model doubler"),
        ("POST", f"{MODEL}:regress", 400, f"Malformed request: POST {MODEL}:regress"),
        ("PUT", f"{MODEL}/a/b", 400, f"Malformed request: PUT {MODEL}/a/b"),
        ("POST", f"{MODEL}:predict", 400, "JSON Parse error: "),
    ],
)
def test_an_error_is_one_text(client, method, path, status, message):
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert response.json()["error"].startswith(message)


def test_what_the_model_refuses_is_a_bad_request(client):
    response = client.post(f"{MODEL}:predict", json={"instances": ["a"]})
    assert response.status_code == 400
    assert "Expected float32, got 'a'" in response.json()["error"]
    other = client.post(f"{MODEL}:predict", json={"instances": [1], "signature_name": "none"})
    assert other.json() == {"error": 'Serving signature name: "none" not found in signature def'}


def test_what_projects_do_to_their_models_is_not_seen(client):
    created = client.post("/v1/projects/own/models", json={"name": "mine"})
    assert created.status_code == 200
    assert client.get("/v1/models/mine").status_code == 404
