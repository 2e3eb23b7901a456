from dataclasses import replace

import pytest

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.inference.endpoint import (
    PredictionEndpoint,
    VertexEndpoint,
    VertexModel,
)


def test_the_environment_names_the_services():
    environment = {
        "GOOGLE_CLOUD_PROJECT": "p",
        "PREDICTION_EMULATOR_HOST": "http://127.0.0.1:8080",
    }
    endpoint = PredictionEndpoint.from_environment(environment)
    assert endpoint == PredictionEndpoint("http://127.0.0.1:8080", "p")
    assert endpoint.resource == "projects/p/models/babyweight_estimator/versions/v1"


def test_without_an_emulator_it_is_googles():
    endpoint = PredictionEndpoint.from_environment({"GOOGLE_CLOUD_PROJECT": "p"})
    assert endpoint.url == "https://ml.googleapis.com"


def test_without_a_project_there_is_no_endpoint():
    with pytest.raises(UserError, match="GOOGLE_CLOUD_PROJECT"):
        PredictionEndpoint.from_environment({})


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://h"])
def test_refuses_what_is_no_url(url):
    with pytest.raises(UserError, match="not the URL"):
        PredictionEndpoint(url, "p")


def test_the_environment_names_the_services_of_vertex_too():
    environment = {
        "GOOGLE_CLOUD_PROJECT": "p",
        "PREDICTION_EMULATOR_HOST": "http://127.0.0.1:8080",
    }
    endpoint = VertexEndpoint.from_environment(environment)
    assert endpoint.url == "http://127.0.0.1:8080"
    assert endpoint.resource == "projects/p/locations/us-central1/endpoints/babyweight-estimator"
    with pytest.raises(UserError, match="GOOGLE_CLOUD_PROJECT"):
        VertexEndpoint.from_environment({})


def test_vertex_without_an_emulator_is_googles_of_the_place():
    endpoint = VertexEndpoint.named("e", "p", "europe-west4")
    assert endpoint.url == "https://europe-west4-aiplatform.googleapis.com"


def test_a_full_name_has_its_own_project_and_place():
    endpoint = VertexEndpoint.named("projects/1/locations/asia-east1/endpoints/2", "p", "l")
    assert endpoint.resource == "projects/1/locations/asia-east1/endpoints/2"
    assert endpoint.url == "https://asia-east1-aiplatform.googleapis.com"


@pytest.mark.parametrize("name", ["a", "7", "a" * 63, "a-1", "1234567890123456789"])
def test_an_endpoint_id_is_letters_or_digits(name):
    assert VertexEndpoint("http://h", "p", endpoint=name).endpoint == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "a_b", "-a", "a-", "1a", "a" * 64, "projects/p/endpoints/e", "e/f", "a\n", "²"],
)
def test_refuses_what_is_no_endpoint(name):
    with pytest.raises(UserError, match="not a Vertex AI endpoint"):
        VertexEndpoint("http://h", "p", endpoint=name)


@pytest.mark.parametrize("location", ["", "evil.example/", "US", "1"])
def test_refuses_what_is_no_location(location):
    with pytest.raises(UserError, match="not a location"):
        VertexEndpoint.named("e", "p", location)


def test_a_model_has_a_version_or_none():
    model = VertexModel("http://h", "p", model="m")
    assert model.resource == "projects/p/locations/us-central1/models/m@v1"
    assert replace(model, version=None).resource == "projects/p/locations/us-central1/models/m"
