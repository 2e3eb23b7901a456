"""A model behind the natality contract, the prediction service that serves it, and its storage."""

import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.model.contract import INPUTS, Signature, load_signature
from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.natality.schema import FEATURES, NumericFeature
from tf_dataflow_serving.services.process import ServiceProcess


class _Weights(tf.Module):
    """Pounds by a formula; a negative gestation fails, one of 30 has no finite result."""

    def estimate(self, features):
        weeks = features["gestation_weeks"]
        with tf.control_dependencies([tf.debugging.assert_non_negative(weeks)]):
            pounds = 0.2 * weeks + 0.02 * features["mother_age"] - features["plurality"]
        pounds += 0.1 * tf.cast(tf.strings.length(features["mother_race"]), tf.float32)
        return tf.expand_dims(pounds + 0 / (weeks - 30), 1)

    @tf.function
    def predict(self, **features):
        return {"predictions": self.estimate(features)}

    @tf.function
    def predict_keyed(self, key, **features):
        return {"predictions": self.estimate(features), "key": key}


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "weights"
    module = _Weights()
    specs = {name: tf.TensorSpec([None], dtype, name) for name, dtype in INPUTS.items()}
    predict = module.predict.get_concrete_function(**specs)
    key = tf.TensorSpec([None], tf.string, "key")
    keyed = module.predict_keyed.get_concrete_function(key=key, **specs)
    signatures = {"predict": predict, "serving_default": predict, "predict_keyed": keyed}
    tf.saved_model.save(module, str(directory), signatures)
    return directory


@pytest.fixture(scope="session")
def signature(model_dir: Path) -> Signature:
    return load_signature(str(model_dir))


def make_instances(count: int, seed: int = 1) -> list[Instance]:
    """Return valid instances, none of 30 weeks."""
    chance = random.Random(seed)
    return [
        {
            feature.name: float(chance.choice([17, 25, 37, 40]))
            if isinstance(feature, NumericFeature)
            else chance.choice(feature.vocabulary)
            for feature in FEATURES
        }
        for _ in range(count)
    ]


@pytest.fixture
def instances() -> list[Instance]:
    return make_instances(50)


@pytest.fixture(scope="session")
def service_url(
    storage_url: str, model_dir: Path, start_service: Callable[..., ServiceProcess]
) -> str:
    deployed = f"weights:v1={model_dir}"
    process = start_service("prediction", "--storage_url", storage_url, "--deploy", deployed)
    return f"http://127.0.0.1:{process.ports['http']}"


@pytest.fixture
def endpoint(service_url: str) -> PredictionEndpoint:
    return PredictionEndpoint(service_url, "p", "weights", "v1")


@pytest.fixture
def bucket(storage_url) -> storage.Bucket:
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": storage_url},
    )
    return client.create_bucket(f"jobs-{uuid.uuid4().hex}")


@pytest.fixture
def put(bucket) -> Callable[..., None]:
    def put_lines(name: str, *lines: object) -> None:
        text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        bucket.blob(name).upload_from_string("".join(f"{line}\n" for line in text))

    return put_lines
