"""Any request at all: the answer is of the protocol's form, never a 500, and the service lives."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount, Route

from tf_dataflow_serving.services.prediction.app import create_app
from tf_dataflow_serving.services.prediction.service import open_service
from tf_dataflow_serving.services.prediction.tfserving.responses import ROOT
from tf_dataflow_serving.services.process import ServiceProcess

PREDICT = "/v1/projects/p/models/doubler:predict"
VERTEX = tuple(
    f"/v1/projects/p/locations/us-central1/endpoints/doubler:{verb}"
    for verb in ("predict", "rawPredict")
)
FIELDS = (
    *("instances", "signature_name", "inputs", "parameters"),
    *("name", "description", "regions", "deploymentUri", "jobId", "predictionInput"),
    *("dataFormat", "inputPaths", "outputPath", "region", "modelName", "versionName", "uri"),
    *("batchSize", "maxWorkerCount", "model", "displayName", "artifactUri", "containerSpec"),
    *("deployedModel", "deployedModelId", "trafficSplit", "labels", "metadata", "imageUri"),
    *("inputConfig", "outputConfig", "instancesFormat", "predictionsFormat", "gcsSource", "uris"),
    *("gcsDestination", "outputUriPrefix", "dedicatedResources", "machineSpec", "minReplicaCount"),
    *("modelParameters", "startingReplicaCount", "maxReplicaCount", "x", "key", "b64", "kind"),
)
PLAUSIBLE = (
    *("p", "doubler", "v1", "1", "us-central1", "gs://b/o", "serving_default", "predict_keyed"),
    *("jsonl", "JSON", "projects/p/models/doubler", "projects/p/locations/us-central1/models/1"),
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Duplicated(list):
    """An object as pairs, whose names may come twice."""


def text(value: object) -> str:
    """Write JSON, and what only looks like it: NaN, lone surrogates, names that come twice."""
    if isinstance(value, Duplicated):
        return "{" + ",".join(f"{json.dumps(name)}:{text(one)}" for name, one in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return json.dumps(value)


def nested(depth: int, inner: object) -> object:
    for _ in range(depth):
        inner = [inner]
    return inner


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 400).map(lambda digits: 10**digits)
    | st.floats()
    | st.sampled_from(PLAUSIBLE)
    | st.text(st.characters(categories=None), max_size=8)
)
names = st.sampled_from(FIELDS) | st.text(st.characters(categories=None), max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(names, inner), max_size=4).map(Duplicated)
        | st.tuples(st.integers(0, 120), inner).map(lambda pair: nested(*pair))
    ),
    max_leaves=10,
)
documents = st.lists(st.tuples(names, values), max_size=6).map(Duplicated)
predictions = st.tuples(
    st.sampled_from(("instances", "inputs")), values, st.sampled_from(PLAUSIBLE) | values
).map(lambda parts: Duplicated([(parts[0], parts[1]), ("signature_name", parts[2])]))
bodies = st.binary(max_size=80) | (values | documents | predictions).map(text).map(str.encode)
escaped = st.binary(max_size=6).map(quote_from_bytes)
# Projects and locations are any, so what is in them comes further than elsewhere.
places = (
    st.binary(min_size=1, max_size=6).map(quote_from_bytes)
    | st.text(min_size=1, max_size=6).map(lambda name: quote(name, safe=""))
    | st.sampled_from(("%E3%83%97", "p%0D%0AX-Evil:%20yes", "p%00", "p%40:predict"))
)
segments = (
    st.sampled_from(("v1", "projects", "p", "locations", "us-central1", "models", "versions"))
    | st.sampled_from(("endpoints", "operations", "batchPredictionJobs", "jobs", "doubler", "1"))
    | escaped
)
prefixes = st.sampled_from(
    ("", "/v1/models", "/v1/projects/p", "/v1/projects/p/locations/us-central1", PREDICT, "/ui")
)
targets = st.tuples(
    prefixes,
    st.lists(segments, max_size=5).map(lambda parts: "".join(f"/{part}" for part in parts)),
    escaped,
).map(lambda parts: "".join(parts) or "/")


def post_routes() -> list[str]:
    """Return the paths of all routes that take a POST, of all protocols."""

    async def routes() -> Sequence[BaseRoute]:
        async with open_service("http://127.0.0.1:9", []) as service:
            return create_app(service).routes

    return list(_post_paths("", asyncio.run(routes())))


def _post_paths(root: str, routes: Iterable[BaseRoute]) -> Iterable[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _post_paths(root + route.path, route.routes)
        elif isinstance(route, Route) and "POST" in (route.methods or ()):
            yield root + route.path


POST_ROUTES = post_routes()


@pytest.fixture(scope="module")
def fuzzed(
    storage_url: str, model_dir: Path, start_service: Callable[..., ServiceProcess]
) -> ServiceProcess:
    """A service of its own: others would find its models changed."""
    deployed = f"doubler:v1={model_dir}"
    return start_service("prediction", "--storage_url", storage_url, "--deploy", deployed)


def ask(service: ServiceProcess, method: str, target: bytes, body: bytes = b"") -> Answer:
    """Send a request as it is, which a client would not, and return the answer."""
    with socket.create_connection(("127.0.0.1", service.ports["http"]), timeout=60) as raw:
        head = b"%b %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        raw.sendall(head % (method.encode(), target, len(body)) + body)
        response = HTTPResponse(raw, method=method)
        response.begin()
        return Answer(response.status, response.read())


def assert_answered(answer: Answer, path: str) -> None:
    """The answer is JSON, an error one of the form that the path's protocol has."""
    # What a protocol has and this service leaves out is 501.
    assert answer.status < 500 or answer.status == 501, answer
    content: Any = json.loads(answer.body)
    if answer.status < 400:
        assert isinstance(content, dict)
    elif path.startswith(ROOT):
        assert isinstance(content["error"], str)
    else:
        error = content["error"]
        assert (error["code"], bool(error["message"])) == (answer.status, True)
        assert error["status"].isupper()


def assert_alive(service: ServiceProcess) -> None:
    service.raise_if_dead()
    path = b"/v1/projects/untouched/models/doubler:predict"
    answer = ask(service, "POST", path, b'{"instances":[1]}')
    assert json.loads(answer.body) == {"predictions": [{"y": 2.0}]}


def filled(route: str, plausible: bool, **named: str) -> str:
    """Return a path of that route: of what is named, or else of what is there or is not."""
    known = {"project": "p", "location": "us-central1"} | dict.fromkeys(
        ("model", "endpoint"), "doubler"
    )
    for name in [part.split("}")[0] for part in route.split("{")[1:]]:
        value = known.get(name, "1") if plausible else "none"
        route = route.replace(f"{{{name}}}", named.get(name, value))
    return route


def test_there_are_routes_of_every_protocol():
    assert any(route.startswith(ROOT) for route in POST_ROUTES)
    assert any(route.startswith("/v1/projects/{project}/models") for route in POST_ROUTES)
    assert any(route.endswith("/endpoints/{endpoint}:rawPredict") for route in POST_ROUTES)


@pytest.mark.parametrize("route", POST_ROUTES)
def test_any_body_gets_an_answer_of_the_right_form(fuzzed, route):
    @settings(max_examples=40, deadline=None, database=None)
    @given(body=bodies, plausible=st.booleans())
    def check(body: bytes, plausible: bool) -> None:
        path = filled(route, plausible)
        assert_answered(ask(fuzzed, "POST", path.encode(), body), path)

    check()
    assert_alive(fuzzed)


@pytest.mark.parametrize("route", [route for route in POST_ROUTES if "{project}" in route])
def test_any_project_and_location_get_an_answer(fuzzed, route):
    @settings(max_examples=40, deadline=None, database=None)
    @given(project=places, location=places)
    def check(project: str, location: str) -> None:
        path = filled(route, True, project=project, location=location)
        assert_answered(ask(fuzzed, "POST", path.encode(), b'{"instances":[1]}'), path)

    check()
    assert_alive(fuzzed)


@pytest.mark.parametrize("path", [PREDICT, *VERTEX, "/v1/models/doubler:predict"])
def test_any_instances_are_predicted_or_refused(fuzzed, path):
    @settings(max_examples=200, deadline=None, database=None)
    @given(document=predictions)
    def check(document: Duplicated) -> None:
        assert_answered(ask(fuzzed, "POST", path.encode(), text(document).encode()), path)

    check()
    assert_alive(fuzzed)


@pytest.mark.parametrize("route", POST_ROUTES)
def test_a_path_that_is_nearly_right_gets_an_answer(fuzzed, route):
    endings = ("/", "//", "/%0A", "%0A", "?", "#", ":", "%00")
    for method, ending in product(METHODS, endings):
        path = filled(route, True) + ending
        assert_answered(ask(fuzzed, method, path.encode()), path)


@pytest.mark.parametrize("route", POST_ROUTES)
def test_deep_nesting_is_refused(fuzzed, route):
    path = filled(route, True)
    names = ("instances", "inputs", "name", "predictionInput", "model")
    brackets = (("[", "]"), ('{"a":', "}"))
    for name, (opening, closing), depth in product(names, brackets, (32, 255, 1_000, 100_000)):
        body = f'{{"{name}": {opening * depth}1{closing * depth}}}'
        assert_answered(ask(fuzzed, "POST", path.encode(), body.encode()), path)
    assert_alive(fuzzed)


@settings(max_examples=300, deadline=None, database=None)
@given(method=st.sampled_from(METHODS), target=targets, body=bodies)
def test_any_path_gets_an_answer_of_the_right_form(fuzzed, method, target, body):
    assert_answered(ask(fuzzed, method, target.encode(), body), target)


@settings(max_examples=200, deadline=None, database=None)
@given(method=st.sampled_from(("GET", "BREW")), target=st.binary(min_size=1, max_size=30))
def test_what_is_not_even_http_is_refused(fuzzed, method, target):
    try:
        answer = ask(fuzzed, method, target)
    except (HTTPException, ConnectionError) as error:
        pytest.fail(f"no answer: {error!r}")
    assert_answered(answer, "/")
    assert_alive(fuzzed)
