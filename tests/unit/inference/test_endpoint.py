from dataclasses import replace

import pytest

from tf_dataflow_serving.errors import UsageError, UserError
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


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1", "http://[::1]:65535", "https://H.example", "http://my_host/below/"],
)
def test_a_url_has_a_host(url):
    assert PredictionEndpoint(url, "p").url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://h",
        "http://",
        "http://[bad",
        "http://:80",
        "http://h:99999",
        "http://h:0",
        "http://h:x",
        "http://a b",
        "http://a\nb",
    ],
)
def test_refuses_what_is_no_url(url):
    with pytest.raises(UsageError, match="not the URL"):
        PredictionEndpoint(url, "p")


@pytest.mark.parametrize("name", ["a", "Ab_1", "a" * 128])
def test_a_cloud_ml_engine_name_is_a_word(name):
    assert PredictionEndpoint("http://h", "p", name, name).resource.endswith(f"{name}")


@pytest.mark.parametrize("name", ["", "1a", "_a", "a-b", "a\nb", "a" * 129, "ä", "a/b"])
def test_refuses_what_is_no_cloud_ml_engine_name(name):
    with pytest.raises(UsageError, match="not a Cloud ML Engine model"):
        PredictionEndpoint("http://h", "p", model=name)
    with pytest.raises(UsageError, match="not a Cloud ML Engine version"):
        PredictionEndpoint("http://h", "p", version=name)


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a\nb", "a" * 64, "a.b", "²"])
def test_refuses_what_is_no_vertex_model(name):
    with pytest.raises(UsageError, match="not a Vertex AI model"):
        VertexModel("http://h", "p", model=name)


@pytest.mark.parametrize("version", ["", "V1", "1a", "a-", "v", "a_b", "a" * 129, "v1\n"])
def test_refuses_what_is_no_version_of_a_vertex_model(version):
    with pytest.raises(UsageError, match="not a version of a Vertex AI model"):
        VertexModel("http://h", "p", version=version)


@pytest.mark.parametrize("version", ["1", "v1", "vB-2", "default"])
def test_a_version_of_a_vertex_model_is_a_number_or_an_alias(version):
    model = VertexModel("http://h", "p", model="1234567890123456789", version=version)
    assert model.resource.endswith(f"/models/1234567890123456789@{version}")


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


@pytest.mark.parametrize("kind", [PredictionEndpoint, VertexEndpoint, VertexModel])
@pytest.mark.parametrize("project", ["", "a\nb", "a/b", "a b", "ä"])
def test_refuses_what_is_no_project(kind, project):
    with pytest.raises(UsageError, match="not a Google Cloud project"):
        kind("http://h", project)


@pytest.mark.parametrize("project", ["p", "my-project-1", "example.com:p", "123456789012"])
def test_a_project_has_an_id_or_a_number(project):
    assert PredictionEndpoint("http://h", project).resource.startswith(f"projects/{project}/")
