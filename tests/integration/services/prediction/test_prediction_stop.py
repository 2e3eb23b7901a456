"""The end of a service whose jobs wait for a storage service that is away."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tf_dataflow_serving.services.process import ServiceProcess

from ..kills import client_of


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A URL where nothing answers: a port that is taken, and not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the service makes its temporary directories."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    return directory


@pytest.fixture
def service(
    tmp_path: Path, temporary: Path, model_dir: Path, nowhere: str
) -> Iterator[ServiceProcess]:
    started = ServiceProcess.start(
        "prediction",
        "tf_dataflow_serving.services.prediction",
        ["--storage_url", nowhere, "--deploy", f"doubler:v1={model_dir}"],
        tmp_path / "prediction.log",
        {**os.environ, "TMPDIR": str(temporary)},
    )
    yield started
    started.stop()


def test_a_service_ends_in_time_and_leaves_nothing_while_storage_is_away(service, temporary):
    request = {
        "dataFormat": "JSON",
        "inputPaths": ["gs://bucket/in/*"],
        "outputPath": "gs://bucket/out",
        "region": "us-central1",
        "modelName": "projects/p/models/doubler",
    }
    with client_of(service) as client:
        job = {"jobId": "j", "predictionInput": request}
        client.post("/v1/projects/p/jobs", json=job).raise_for_status()
    assert list(temporary.glob("prediction-*"))
    service.stop()
    assert service.process.returncode == 0
    assert list(temporary.glob("prediction-*")) == []
