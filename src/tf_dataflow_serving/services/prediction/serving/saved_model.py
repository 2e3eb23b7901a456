"""A SavedModel that is being served: any model, by what its signatures declare."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tensorflow as tf

from tf_dataflow_serving.services.prediction.errors import ModelUnusable, PredictionFailed
from tf_dataflow_serving.services.prediction.serving.tensors import to_predictions, to_tensors

DEFAULT_SIGNATURE = "serving_default"
_log = logging.getLogger(__name__)


class ServingSignature:
    """One named function of a SavedModel; threads may call it at the same time."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._inputs: Mapping[str, tf.TensorSpec] = function.structured_input_signature[1]

    def predict(self, instances: Sequence[object]) -> list[dict[str, Any]]:
        """Return a prediction for each instance, in order: values by the outputs' names.

        All instances go through the graph in one call, so that one bad instance fails all.
        Raises PredictionFailed.
        """
        if not instances:
            return []
        outputs = self._call(to_tensors(instances, self._inputs))
        return to_predictions(outputs, len(instances))

    def warm_up(self) -> None:
        """Call the function once with zeros, so that no request waits for graph optimisation."""
        zeros = {
            name: tf.zeros([size or 1 for size in spec.shape], spec.dtype)
            for name, spec in self._inputs.items()
            if spec.shape.rank is not None
        }
        try:
            self._call(zeros)
        except PredictionFailed as error:
            # Made-up input may well be nonsense to the model; real input is judged when it comes.
            _log.info("not warmed up: %s", error)

    def _call(self, tensors: Mapping[str, tf.Tensor]) -> Mapping[str, Any]:
        try:
            outputs: Mapping[str, Any] = self._function(**tensors)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise PredictionFailed(f"Error during model execution: {reason}") from error
        return outputs


class SavedModel:
    """The signatures of a loaded SavedModel."""

    def __init__(self, loaded: Any) -> None:
        # A signature refers to its model's variables weakly.
        self._loaded = loaded
        self._signatures = {
            name: ServingSignature(function) for name, function in loaded.signatures.items()
        }

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load and warm up the model in a directory; raises ModelUnusable."""
        if not any(
            (directory / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")
        ):
            raise ModelUnusable("no saved_model.pb in the model's directory")
        try:
            model = cls(tf.saved_model.load(str(directory)))
        except (OSError, ValueError, RuntimeError, KeyError, tf.errors.OpError) as error:
            raise ModelUnusable(f"the SavedModel cannot be loaded: {error}") from error
        model.warm_up()
        return model

    def signature(self, name: str | None = None) -> ServingSignature:
        """Return the signature of that name, or the default one; raises PredictionFailed."""
        wanted = name or DEFAULT_SIGNATURE
        if wanted not in self._signatures:
            raise PredictionFailed(f'Serving signature name: "{wanted}" not found in signature def')
        return self._signatures[wanted]

    def warm_up(self) -> None:
        """Warm up every signature."""
        for signature in self._signatures.values():
            signature.warm_up()
