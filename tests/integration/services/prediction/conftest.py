"""The prediction service as a child process, beside the storage service."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tf_dataflow_serving.services.process import ServiceProcess

from .vertex_location import Location, new_name


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


@pytest.fixture(scope="session")
def service(
    storage_url: str, model_dir: Path, start_service: Callable[..., ServiceProcess]
) -> ServiceProcess:
    deployed = f"doubler:v1={model_dir}"
    return start_service("prediction", "--storage_url", storage_url, "--deploy", deployed)


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


@pytest.fixture
def location(service_url: str) -> Iterator[Location]:
    here = Location(service_url, new_name())
    with here.http:
        yield here
