"""The signature that every served model has, whoever trained it and with what version.

Inputs: mother_age, plurality, gestation_weeks, float32 of shape [batch]; is_male, mother_race,
mother_married, cigarette_use, alcohol_use, string of shape [batch]. Output: `predictions`,
float32 of shape [batch, 1], pounds. Its name is `predict`, or else `serving_default`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import tensorflow as tf

from tf_dataflow_serving.model.errors import ContractMismatch, ModelNotFound
from tf_dataflow_serving.model.location import local_copy
from tf_dataflow_serving.natality.instance import SAMPLE, Instance
from tf_dataflow_serving.natality.schema import FEATURES

__all__ = ["ContractMismatch", "ModelNotFound", "Signature", "check", "load_signature"]

INPUTS: Final[Mapping[str, tf.DType]] = {
    feature.name: tf.as_dtype(feature.dtype) for feature in FEATURES
}
OUTPUT: Final = "predictions"
SIGNATURE_NAMES: Final = ("predict", "serving_default")


class Signature:
    """A loaded model behind the contract; threads may call it at the same time."""

    def __init__(self, function: Callable[..., Mapping[str, Any]], model: object) -> None:
        self._function = function
        # A signature refers to its model's variables weakly.
        self._model = model

    def predict(self, instances: Sequence[Instance]) -> list[float]:
        """Return the estimated weights, in pounds, in the order of the instances.

        The n instances become eight tensors of shape [n], float32 or string, and one call of the
        graph, which returns float32 of shape [n, 1]. No instances give no weights. The instances
        must be valid: a feature that is missing raises KeyError.
        """
        if not instances:
            return []
        columns = {
            name: tf.constant([instance[name] for instance in instances], dtype)  # type: ignore[literal-required]
            for name, dtype in INPUTS.items()
        }
        weights: list[float] = self._function(**columns)[OUTPUT].numpy().ravel().tolist()
        return weights

    def warm_up(self) -> None:
        """Predict once, so that no user waits for the graph to be optimised (some 50 ms)."""
        self.predict([SAMPLE])


def load_signature(model_dir: str) -> Signature:
    """Load the SavedModel in a local directory, or one at gs://bucket/path.

    Raises ModelNotFound if no SavedModel is there, ContractMismatch if it is not one for us.
    """
    with local_copy(model_dir) as directory:
        if not (directory / "saved_model.pb").is_file():
            raise ModelNotFound(f"no SavedModel in {model_dir}: it has no saved_model.pb")
        model = _load(directory, model_dir)
    function = _choose(model.signatures, model_dir)
    check(function)
    return Signature(function, model)


def check(function: Any) -> None:
    """Raise ContractMismatch, with all that differs, unless the signature meets the contract."""
    inputs = function.structured_input_signature[1]
    faults = [
        *(f"input {name} is missing" for name in INPUTS if name not in inputs),
        *(f"input {name} is not expected" for name in inputs if name not in INPUTS),
        *_differences("input", inputs, {name: (dtype, [None]) for name, dtype in INPUTS.items()}),
        *_output_faults(function.structured_outputs),
    ]
    if faults:
        raise ContractMismatch("the model's signature differs: " + "; ".join(faults))


def _load(directory: Path, model_dir: str) -> Any:
    try:
        return tf.saved_model.load(str(directory))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ModelNotFound(f"no SavedModel in {model_dir}: {error}") from error


def _choose(signatures: Mapping[str, Any], model_dir: str) -> Any:
    for name in SIGNATURE_NAMES:
        if name in signatures:
            return signatures[name]
    raise ContractMismatch(
        f"the model in {model_dir} has no signature {' or '.join(SIGNATURE_NAMES)},"
        f" only {', '.join(sorted(signatures)) or 'none at all'}"
    )


def _output_faults(outputs: Mapping[str, Any]) -> list[str]:
    if OUTPUT not in outputs:
        return [f"output {OUTPUT} is missing"]
    return _differences("output", outputs, {OUTPUT: (tf.float32, [None, 1])})


def _differences(
    kind: str, actual: Mapping[str, Any], expected: Mapping[str, tuple[tf.DType, list[int | None]]]
) -> list[str]:
    return [
        f"{kind} {name} is {_describe(actual[name].dtype, actual[name].shape)}"
        f" instead of {_describe(dtype, tf.TensorShape(shape))}"
        for name, (dtype, shape) in expected.items()
        if name in actual
        and not (actual[name].dtype == dtype and actual[name].shape.is_compatible_with(shape))
    ]


def _describe(dtype: tf.DType, shape: tf.TensorShape) -> str:
    return f"{dtype.name} {shape}"
