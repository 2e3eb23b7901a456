import pytest

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint


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
