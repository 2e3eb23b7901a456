"""JSON values to tensors and back, by the dtypes and shapes that a signature declares."""

import base64
import binascii
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_dataflow_serving.services.prediction.errors import PredictionFailed

Column = Sequence[object]
_CONVERSION_ERRORS = (TypeError, ValueError, OverflowError, RecursionError)
# TensorFlow aborts the process at 255 dimensions; no input of a model comes near to this.
_MAX_DIMENSIONS = 32


def to_tensors(
    instances: Sequence[object], inputs: Mapping[str, tf.TensorSpec]
) -> dict[str, tf.Tensor]:
    """Return one tensor for each input, its first dimension the number of instances.

    An instance is an object with a value for every input, or the bare value if there is but one
    input. `{"b64": ...}` is a string of bytes (AI Platform Prediction, "Encoding binary data for
    prediction input"). Raises PredictionFailed for instances that do not fit.
    """
    columns = _columns(instances, inputs)
    tensors = {name: _tensor(name, columns[name], spec.dtype) for name, spec in inputs.items()}
    for name, spec in inputs.items():
        _check_shape(name, tensors[name], spec)
    return tensors


def to_predictions(outputs: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return one object for each of the `count` instances, its keys the names of the outputs.

    Strings are text, except in outputs whose name ends in `_bytes`: those are `{"b64": ...}`.
    NaN and infinities stay as they are. Raises PredictionFailed for an output that JSON cannot
    hold, or that does not have one entry for each instance.
    """
    names = list(outputs)
    columns = [_values(name, outputs[name], count) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _columns(instances: Sequence[object], inputs: Mapping[str, object]) -> dict[str, Column]:
    names = frozenset(inputs)
    if len(names) == 1:
        (name,) = names
        return {name: [_single_value(instance, name) for instance in instances]}
    rows: list[Mapping[str, object]] = []
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict) or instance.keys() != names:
            raise PredictionFailed(
                f"{_name_mismatch(instance, names)}{_where(index, len(instances))}"
            )
        rows.append(instance)
    return {name: [row[name] for row in rows] for name in names}


def _single_value(instance: object, name: str) -> object:
    if not isinstance(instance, dict) or instance.keys() == {"b64"} != {name}:
        return instance
    if instance.keys() != {name}:
        raise PredictionFailed(_name_mismatch(instance, {name}))
    return instance[name]


def _name_mismatch(instance: object, names: frozenset[str] | set[str]) -> str:
    expected = ", ".join(sorted(names))
    if not isinstance(instance, dict):
        return f"Expected tensor name: {expected}, got a value without a name."
    return f"Expected tensor name: {expected}, got tensor name: {sorted(instance)}."


def _where(index: int, count: int) -> str:
    """Say which instance it was, where there is more than one."""
    return f" (instance {index})" if count > 1 else ""


def _tensor(name: str, values: Column, dtype: tf.DType) -> tf.Tensor:
    convert = _converter(dtype)
    try:
        return convert(values)
    except _CONVERSION_ERRORS as error:
        raise PredictionFailed(_explain(name, values, dtype, convert)) from error


def _converter(dtype: tf.DType) -> Callable[[Column], tf.Tensor]:
    if dtype == tf.string:
        return lambda values: _constant([_decoded(value) for value in values], dtype)
    if dtype.is_integer and dtype.size < tf.int64.size:
        return lambda values: _narrow_integers(values, dtype)
    return lambda values: _constant(values, dtype)


def _constant(values: Column, dtype: tf.DType) -> tf.Tensor:
    # TensorFlow takes the number of dimensions from the first value of the first value of ...
    nested: object = values
    for _ in range(_MAX_DIMENSIONS):
        if not isinstance(nested, list) or not nested:
            return _rectangular(values, tf.constant(values, dtype))
        nested = nested[0]
    raise ValueError("nested too deep")


def _rectangular(values: Column, tensor: tf.Tensor) -> tf.Tensor:
    """Refuse what TensorFlow lets pass: values behind an empty first one, which it drops."""
    if not tensor.shape.num_elements() and any(value != values[0] for value in values):
        raise ValueError("values differ in shape")
    return tensor


def _decoded(value: object) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict) and value.keys() == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, TypeError) as error:
            raise ValueError("not base64") from error
    return value


def _narrow_integers(values: Column, dtype: tf.DType) -> tf.Tensor:
    """Convert by way of int64, since TensorFlow lets an int32 overflow in silence."""
    wide = _constant(values, tf.int64).numpy()
    if np.any((wide < dtype.min) | (wide > dtype.max)):
        raise OverflowError(f"out of range for {dtype.name}")
    return tf.constant(wide.astype(dtype.as_numpy_dtype))


def _explain(
    name: str, values: Column, dtype: tf.DType, convert: Callable[[Column], tf.Tensor]
) -> str:
    """Name the first value that cannot be converted by itself."""
    for index, value in enumerate(values):
        try:
            convert([value])
        except _CONVERSION_ERRORS:
            return (
                f"Error processing input: Expected {dtype.name}, got {reprlib.repr(value)}"
                f" of type '{type(value).__name__}' instead, input: {name}"
                f"{_where(index, len(values))}."
            )
    return f"Error processing input: the values of input {name} differ in shape."


def _check_shape(name: str, tensor: tf.Tensor, spec: tf.TensorSpec) -> None:
    if not spec.shape.is_compatible_with(tensor.shape):
        raise PredictionFailed(
            f"Error processing input: Expected shape {spec.shape}, got {tensor.shape},"
            f" input: {name}."
        )


def _values(name: str, output: Any, count: int) -> list[Any]:
    if not isinstance(output, tf.Tensor):
        raise PredictionFailed(f"Output {name} is not a dense tensor.")
    if output.shape.rank == 0 or output.shape[0] != count:
        raise PredictionFailed(
            f"Output {name} has shape {output.shape} for {count} instances: its outer dimension"
            " must be the number of instances."
        )
    return _jsonable(name, output)


def _jsonable(name: str, output: tf.Tensor) -> list[Any]:
    dtype = output.dtype
    if dtype.is_floating or dtype.is_integer or dtype.is_bool:
        numbers: list[Any] = output.numpy().tolist()
        return numbers
    if dtype == tf.string:
        strings: list[Any] = output.numpy().tolist()
        return [_text(name, value) for value in strings]
    raise PredictionFailed(f"Output {name} is {dtype.name}, which JSON cannot hold.")


def _text(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_text(name, item) for item in value]
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode("ascii")}
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PredictionFailed(
            f"Output {name} is not text: give it a name that ends in _bytes."
        ) from error
