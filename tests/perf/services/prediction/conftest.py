"""The shipped model behind a service of its own, and in this process."""

import os
import socket
from collections.abc import Iterator

import orjson
import pytest

from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.natality.instance import SAMPLE
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel, ServingSignature
from tf_dataflow_serving.services.process import ServiceProcess

MODULE = "tf_dataflow_serving.services.prediction"
INSTANCES = [dict(SAMPLE)]
BODY = orjson.dumps({"instances": INSTANCES})


@pytest.fixture(scope="session")
def signature() -> ServingSignature:
    return SavedModel.load(SHIPPED).signature()


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log = tmp_path_factory.mktemp("prediction") / "log"
    # Online prediction needs no storage: nothing listens at that port.
    arguments = ["--storage_url", "http://127.0.0.1:9", "--deploy", f"babyweight:v1={SHIPPED}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    process = ServiceProcess.start("prediction", MODULE, arguments, log, environment)
    yield process.ports["http"]
    process.stop()


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    """One connection that stays."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as kept:
        kept.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield kept
