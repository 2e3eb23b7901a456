"""The shipped model in this process, and behind a prediction service."""

import os
from collections.abc import Iterator

import pytest

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.online import OnlinePredictor
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.services.process import ServiceProcess

MODULE = "tf_dataflow_serving.services.prediction"


@pytest.fixture(scope="session")
def online(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlinePredictor]:
    log = tmp_path_factory.mktemp("prediction") / "log"
    # Online prediction needs no storage: nothing listens at that port.
    arguments = ["--storage_url", "http://127.0.0.1:9", "--deploy", f"babyweight:v1={SHIPPED}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    process = ServiceProcess.start("prediction", MODULE, arguments, log, environment)
    url = f"http://127.0.0.1:{process.ports['http']}"
    yield OnlinePredictor(PredictionEndpoint(url, "p", "babyweight"), RetryPolicy())
    process.stop()


@pytest.fixture(params=[1, 100, 1000])
def batch(request: pytest.FixtureRequest) -> list[Instance]:
    birth = Instance(
        is_male="True",
        mother_age=26.0,
        mother_race="White",
        plurality=1.0,
        gestation_weeks=39,
        mother_married="True",
        cigarette_use="False",
        alcohol_use="None",
    )
    return [birth] * request.param
