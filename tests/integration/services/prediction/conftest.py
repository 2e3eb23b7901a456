"""The prediction service as a child process, beside the storage service."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tf_dataflow_serving.services.process import ServiceProcess


class _Doubler(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def serving_default(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec([None], t) for t in (tf.float32, tf.string)])
    def predict_keyed(self, x, key):
        return {"y": 2 * x, "key": key}


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "doubler"
    module = _Doubler()
    names = ("serving_default", "predict_keyed")
    signatures = {name: getattr(module, name).get_concrete_function() for name in names}
    tf.saved_model.save(module, str(directory), signatures)
    return directory


def _start(name: str, arguments: list[str], directory: Path) -> ServiceProcess:
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_HOST")}
    return ServiceProcess.start(
        name,
        f"tf_dataflow_serving.services.{name}",
        arguments,
        directory / f"{name}.log",
        {**environment, "HOME": str(directory), "TF_CPP_MIN_LOG_LEVEL": "2"},
    )


@pytest.fixture(scope="session")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = _start("storage", ["--port", "0"], tmp_path_factory.mktemp("storage"))
    yield f"http://127.0.0.1:{process.ports['http']}"
    process.stop()


@pytest.fixture(scope="session")
def service(
    storage_url: str, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    arguments = ["--storage_url", storage_url, "--deploy", f"doubler:v1={model_dir}"]
    process = _start("prediction", arguments, tmp_path_factory.mktemp("prediction"))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def service_url(service: ServiceProcess) -> str:
    return f"http://127.0.0.1:{service.ports['http']}"


@pytest.fixture
def bucket(storage_url: str) -> storage.Bucket:
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": storage_url},
    )
    return client.create_bucket(f"prediction-{uuid.uuid4().hex}")


@pytest.fixture
def model_uri(bucket: storage.Bucket, model_dir: Path) -> str:
    """The model on gs://, where the service deploys it from."""
    for path in model_dir.rglob("*"):
        if path.is_file():
            bucket.blob(f"export/{path.relative_to(model_dir)}").upload_from_filename(str(path))
    return f"gs://{bucket.name}/export"
