"""Writes a trained network as a SavedModel behind the contract."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tf_dataflow_serving.model import KEY, KEYED_SIGNATURE_NAME
from tf_dataflow_serving.model.contract import INPUTS, OUTPUT, SIGNATURE_NAMES
from tf_dataflow_serving.model.encoding import Encoder, Tensors


class _Servable(tf.Module):  # type: ignore[misc] # TensorFlow ships no types
    """The encoding and the network behind it, as one function of the contract's inputs.

    It tracks the network's variables and not the network: the SavedModel would hold the functions
    of every layer, which nobody calls.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.weights = [variable.value for variable in network.variables]
        self.encoder = Encoder()
        specification = {name: tf.TensorSpec([None], dtype, name) for name, dtype in INPUTS.items()}

        def predict(features: Tensors) -> dict[str, Any]:
            encoded = self.encoder(features)
            return {OUTPUT: network([encoded.wide, encoded.numbers])}

        def predict_keyed(inputs: Tensors) -> dict[str, Any]:
            features = {name: inputs[name] for name in specification}
            return {**predict(features), KEY: inputs[KEY]}

        keyed = {**specification, KEY: tf.TensorSpec([None], tf.string, KEY)}
        self.predict = tf.function(predict, input_signature=[specification])
        self.predict_keyed = tf.function(predict_keyed, input_signature=[keyed])


def export(network: keras.Model, directory: Path) -> None:
    """Write the network to a directory, with the signatures `predict` and `serving_default`.

    A third one, `predict_keyed`, hands a string `key` through beside the prediction, by which
    the results of a batch prediction job are joined to their inputs.
    """
    servable = _Servable(network)
    signatures = {
        **dict.fromkeys(SIGNATURE_NAMES, servable.predict),
        KEYED_SIGNATURE_NAME: servable.predict_keyed,
    }
    tf.saved_model.save(servable, str(directory), signatures=signatures)
