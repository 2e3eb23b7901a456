"""A SavedModel small enough to be made in a moment, with a signature for every kind of tensor."""

from pathlib import Path

import pytest
import tensorflow as tf

from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel


def _spec(dtype: tf.DType, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec([None, *shape], dtype)


class _Zoo(tf.Module):
    """`serving_default` gives 2x + len(word); the others show one kind of tensor each."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[_spec(tf.float32), _spec(tf.string)])
    def serving_default(self, x, word):
        length = tf.cast(tf.strings.length(word), tf.float32)
        return {"predictions": tf.expand_dims(self.factor * x + length, 1)}

    @tf.function(input_signature=[_spec(tf.float32), _spec(tf.string), _spec(tf.string)])
    def predict_keyed(self, x, word, key):
        return {**self.serving_default(x, word), "key": key}

    @tf.function(input_signature=[_spec(tf.float32, 2)])
    def pairs(self, pair):
        return {"total": tf.reduce_sum(pair, axis=1)}

    @tf.function(input_signature=[_spec(tf.int32), _spec(tf.int64), _spec(tf.bool)])
    def numbers(self, small, large, flag):
        return {"small": small, "large": large, "flag": flag}

    @tf.function(input_signature=[_spec(tf.string)])
    def binary(self, content):
        return {"content_bytes": content}

    @tf.function(input_signature=[_spec(tf.string)])
    def text(self, content):
        return {"content": content}

    @tf.function(input_signature=[_spec(tf.float32)])
    def logarithm(self, x):
        return {"y": tf.math.log(x)}

    @tf.function(input_signature=[_spec(tf.float32)])
    def summary(self, x):
        return {"mean": tf.reduce_mean(x)}

    @tf.function(input_signature=[_spec(tf.float32)])
    def picky(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x is negative")]):
            return {"y": tf.identity(x)}


@pytest.fixture(scope="session")
def zoo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "zoo"
    module = _Zoo()
    names = ("serving_default", "predict_keyed", "pairs", "numbers", "binary", "text")
    names += ("logarithm", "summary", "picky")
    signatures = {name: getattr(module, name).get_concrete_function() for name in names}
    tf.saved_model.save(module, str(directory), signatures)
    return directory


@pytest.fixture(scope="session")
def zoo(zoo_dir: Path) -> SavedModel:
    return SavedModel.load(zoo_dir)
