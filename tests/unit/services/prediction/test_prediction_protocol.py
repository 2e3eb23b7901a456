"""The service in this process, over a real socket, under bodies and paths of any kind."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.listening import Listening
from tf_dataflow_serving.services.prediction.http_json import MAX_BODY_BYTES
from tf_dataflow_serving.services.prediction.server import serve
from tf_dataflow_serving.services.prediction.service import Deployment

PREDICT = "/v1/projects/p/models/zoo:predict"
GOOD = {"x": 1.0, "word": "a"}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
prediction_input = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "dataFormat",
            "inputPaths",
            "outputPath",
            "region",
            "modelName",
            "versionName",
            "uri",
            "batchSize",
            "maxWorkerCount",
            "signatureName",
            "outputDataFormat",
        ),
        json_values,
    ),
)


@pytest.fixture(scope="module")
def client(zoo_dir) -> Iterator[httpx.Client]:
    port: Future[int] = Future()
    stop: Future[asyncio.Event] = Future()

    async def main() -> None:
        async with serve(
            Listening(), "http://127.0.0.1:9", [Deployment("zoo", "v1", zoo_dir)]
        ) as ports:
            ending = asyncio.Event()
            stop.set_result(ending)
            port.set_result(ports["http"])
            await ending.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=[main()])
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port.result(60)}", timeout=30) as http:
        yield http
    loop.call_soon_threadsafe(stop.result().set)
    thread.join(30)
    loop.close()


def assert_json_error(response: httpx.Response) -> None:
    """An error in the form of Google's APIs, its code that of the response, and not a 500."""
    error = response.json()["error"]
    assert error["code"] == response.status_code != 500
    assert error["message"] and error["status"]
    assert response.headers["content-type"] == "application/json; charset=UTF-8"


def test_predicts_by_default_version_and_by_name(client):
    for path in (PREDICT, "/v1/projects/q/models/zoo/versions/v1:predict"):
        response = client.post(path, json={"instances": [GOOD, GOOD]})
        assert response.status_code == 200
        assert response.json() == {"predictions": [{"predictions": [3.0]}] * 2}


def test_predicts_by_the_signature_that_is_named(client):
    body = {"instances": [GOOD | {"key": "k"}], "signature_name": "predict_keyed"}
    assert client.post(PREDICT, json=body).json() == {
        "predictions": [{"predictions": [3.0], "key": "k"}]
    }


def test_a_prediction_that_is_no_number_is_null(client):
    body = {"instances": [0.0, -1.0], "signature_name": "logarithm"}
    assert client.post(PREDICT, json=body).json() == {"predictions": [{"y": None}, {"y": None}]}


def test_one_bad_instance_fails_all(client):
    response = client.post(PREDICT, json={"instances": [GOOD, {"x": "a", "word": "b"}]})
    assert response.status_code == 200
    assert response.json() == {
        "error": "Prediction failed: Error processing input: Expected float32, got 'a' of type"
        " 'str' instead, input: x (instance 1)."
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("models/none:predict", 'Field: name Error: The model resource: "none" was not found.'),
        ("models/zoo/versions/v9:predict", 'The version resource: "v9" was not found.'),
    ],
)
def test_a_model_that_does_not_exist_is_not_found(client, path, message):
    response = client.post(f"/v1/projects/p/{path}", json={"instances": [GOOD]})
    assert response.status_code == 404
    assert_json_error(response)
    error = response.json()["error"]
    assert message in error["message"]
    assert error["status"] == "NOT_FOUND"
    assert error["details"][0]["fieldViolations"][0]["field"] == "name"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/projects/p"),
        ("PUT", "/v1/projects/p/models/zoo"),
        ("GET", PREDICT),
    ],
)
def test_an_unknown_method_is_a_json_error(client, method, path):
    response = client.request(method, path)
    assert response.status_code == 404
    assert_json_error(response)


@pytest.mark.parametrize("beyond", [0, 1, 5_000_000])
def test_a_payload_has_a_limit(client, beyond):
    frame = b'{"instances":[{"x":1.0,"word":""}]}'
    body = frame[:-4] + b"a" * (MAX_BODY_BYTES + beyond - len(frame)) + frame[-4:]
    response = client.post(PREDICT, content=body)
    if beyond:
        assert response.status_code == 400
        assert_json_error(response)
        assert response.json()["error"]["message"] == (
            "Request payload size exceeds the limit: 1572864 bytes."
        )
    else:
        assert "predictions" in response.json()


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_bytes_give_a_json_error(client, body):
    assert_json_error(client.post(PREDICT, content=body))
    for path in ("models", "models/zoo/versions", "jobs"):
        assert_json_error(client.post(f"/v1/projects/p/{path}", content=body))


@settings(max_examples=100, deadline=None)
@given(instances=st.lists(json_values, max_size=3), signature=json_values | st.just("pairs"))
def test_any_instances_give_predictions_or_an_error(client, instances, signature):
    response = client.post(PREDICT, json={"instances": instances, "signature_name": signature})
    if response.status_code == 200:
        (content,) = response.json().items()
        assert content[0] in ("predictions", "error")
    else:
        assert_json_error(response)


@settings(max_examples=100, deadline=None)
@given(
    job=st.fixed_dictionaries(
        {"predictionInput": prediction_input}, optional={"jobId": json_values}
    )
)
def test_any_job_is_refused_or_accepted_but_breaks_nothing(client, job):
    assert_json_error(client.post("/v1/projects/p/jobs", json=job))


@settings(max_examples=100, deadline=None)
@given(path=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5))
def test_any_path_gives_a_json_error(client, path):
    url = "/v1/projects/" + "/".join(quote(part, safe="") for part in path)
    response = client.get(url)
    if response.status_code != 200:
        assert_json_error(response)


@pytest.mark.parametrize(
    ("query", "field"),
    [("pageSize=x", "pageSize"), ("pageToken=-1", "pageToken"), ("filter=a", "filter")],
)
def test_a_list_refuses_what_it_cannot_do(client, query, field):
    response = client.get(f"/v1/projects/p/models?{query}")
    assert_json_error(response)
    assert response.json()["error"]["details"][0]["fieldViolations"][0]["field"] == field
