import subprocess
import sys
from collections.abc import Mapping

import pytest

from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.inference.cmle_job import CmleJobResults
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint, VertexEndpoint, VertexModel
from tf_dataflow_serving.inference.vertex_job import VertexJobResults
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.runners.handlers import online_endpoint, vertex_model
from tf_dataflow_serving.runners.prediction_job import job_results

URL = "http://127.0.0.1:1"


def options(**values: object) -> ServingOptions:
    given: Mapping[str, object] = {"project": "p", **values}
    return ServingOptions([], **given)


def test_without_a_local_model_tensorflow_stays_away() -> None:
    code = (
        "import sys, tf_dataflow_serving.runners.launch\n"
        "sys.exit('tensorflow was imported' if 'tensorflow' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_cmle_is_a_version_of_a_model() -> None:
    endpoint = online_endpoint(options(inference_type="cmle", prediction_url=URL, model_name="m"))
    assert endpoint == PredictionEndpoint(URL, "p", "m", "v1")


def test_vertex_is_an_endpoint_in_the_region() -> None:
    default = online_endpoint(options(inference_type="vertex", prediction_url=URL))
    assert default == VertexEndpoint(URL, "p", "us-central1", "babyweight-estimator")
    chosen = options(inference_type="vertex", endpoint="7", region="europe-west4")
    assert online_endpoint(chosen) == VertexEndpoint(
        "https://europe-west4-aiplatform.googleapis.com", "p", "europe-west4", "7"
    )


def test_a_vertex_endpoint_may_be_anywhere() -> None:
    name = "projects/1/locations/asia-east1/endpoints/2"
    endpoint = online_endpoint(options(inference_type="vertex", endpoint=name, region="us-east1"))
    assert endpoint.resource == name
    assert endpoint.url == "https://asia-east1-aiplatform.googleapis.com"


def test_a_vertex_job_has_a_model_in_the_region() -> None:
    model = vertex_model(options(region="us-east1", model_name="m", model_version="2"))
    url = "https://us-east1-aiplatform.googleapis.com"
    assert model == VertexModel(url, "p", "us-east1", "m", "2")


def test_results_are_read_as_the_job_writes_them() -> None:
    assert isinstance(job_results(options(inference_type="NA")), CmleJobResults)
    assert isinstance(job_results(options(inference_type="vertex")), VertexJobResults)


@pytest.mark.parametrize("inference_type", ["NA", "local"])
def test_only_online_prediction_has_an_endpoint(inference_type: str) -> None:
    with pytest.raises(UsageError, match="no model is called"):
        online_endpoint(options(inference_type=inference_type))
