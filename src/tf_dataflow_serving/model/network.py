"""The wide-and-deep regression: a linear part that remembers, and a deep one that generalises."""

from typing import Any

import keras

from tf_dataflow_serving.model.encoding import (
    CATEGORY_COUNT,
    CATEGORY_SIZE,
    NUMBERS,
    WIDE_COLUMNS,
    WIDE_SIZE,
)

_EMBEDDING = 4
_HIDDEN_UNITS = (32, 16)


def wide_and_deep(mean: float, deviation: float, seed: int) -> keras.Model:
    """Return the untrained network, from `Encoded` (wide, numbers) to pounds, float32 [n, 1].

    What it learns are factors, of about a deviation each, to the mean: twins or smoking take a
    share of a weight, and no estimate is negative. The seed decides its first weights.
    Words that it never saw count as nothing: all that depends on a category starts at zero.
    """
    wide = keras.Input((WIDE_COLUMNS,), dtype="int32", name="wide")
    numbers = keras.Input((len(NUMBERS),), name="numbers")
    deep = _deep(wide[:, :CATEGORY_COUNT], numbers, seed)
    estimate = keras.layers.add([_linear(wide, numbers), deep])
    factor = keras.ops.exp(keras.layers.Rescaling(deviation / mean)(estimate))
    pounds = keras.layers.Rescaling(mean)(factor)
    return keras.Model([wide, numbers], pounds)


def _linear(wide: Any, numbers: Any) -> Any:
    weights = keras.layers.Embedding(WIDE_SIZE, 1, embeddings_initializer="zeros")(wide)
    # The numbers are here as they are, too: a rectifier takes NaN for 0, a sum does not.
    slope = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(numbers)
    return keras.layers.add([keras.ops.sum(weights, axis=1), slope])


def _deep(categories: Any, numbers: Any, seed: int) -> Any:
    embedding = keras.layers.Embedding(CATEGORY_SIZE, _EMBEDDING, embeddings_initializer="zeros")
    vectors = keras.layers.Reshape((CATEGORY_COUNT * _EMBEDDING,))(embedding(categories))
    hidden = keras.layers.concatenate([vectors, numbers])
    for index, units in enumerate(_HIDDEN_UNITS):
        hidden = keras.layers.Dense(
            units, "relu", kernel_initializer=keras.initializers.GlorotUniform(seed + index)
        )(hidden)
    last = keras.initializers.GlorotUniform(seed + len(_HIDDEN_UNITS))
    return keras.layers.Dense(1, kernel_initializer=last)(hidden)
