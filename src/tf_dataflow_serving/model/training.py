"""Trains the model on generated births and exports it, with its evaluation and its card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_dataflow_serving.model import DEFAULT_EPOCHS, DEFAULT_ROWS, DEFAULT_SEED
from tf_dataflow_serving.model.card import Recipe, TrainingRun, write_card
from tf_dataflow_serving.model.contract import INPUTS, load_signature
from tf_dataflow_serving.model.data import Examples, examples
from tf_dataflow_serving.model.encoding import Encoder
from tf_dataflow_serving.model.errors import OutputExists, TooFewRows
from tf_dataflow_serving.model.evaluation import Evaluation, evaluate
from tf_dataflow_serving.model.export import export
from tf_dataflow_serving.model.network import wide_and_deep

_BATCH = 500
_LEARNING_RATE = 3e-3
_FLOOR = 0.02

Progress = Callable[[str], None]


def _silent(line: str) -> None:
    """Report to nobody."""


def train(
    output: Path,
    *,
    rows: int = DEFAULT_ROWS,
    epochs: int = DEFAULT_EPOCHS,
    seed: int = DEFAULT_SEED,
    progress: Progress = _silent,
) -> Evaluation:
    """Train on generated rows, write SavedModel and card to a new directory, return its errors.

    `progress` gets a line for each step. The defaults make the model that ships. The same
    arguments give the same weights on the same machine and versions; for that, TensorFlow's
    operations are made deterministic in the whole process. Raises OutputExists, before any work,
    if the directory holds something, and TooFewRows.
    """
    _refuse_to_overwrite(output)
    tf.config.experimental.enable_op_determinism()
    recipe = Recipe(rows, epochs, seed)
    progress(f"generating {rows:,} rows with seed {seed}")
    training, held_out = examples(rows, seed).split()
    if not len(held_out.weights):
        raise TooFewRows(f"{rows} rows are too few to train on and to hold some out")
    network = _fit(training, recipe, progress)
    progress(f"writing {output}")
    export(network, output)
    mean = float(training.weights.mean())
    evaluation = evaluate(load_signature(str(output)), held_out, mean)
    count = _parameter_count(network)
    write_card(output, TrainingRun(recipe, len(training.weights), count, evaluation))
    return evaluation


def _refuse_to_overwrite(output: Path) -> None:
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise OutputExists(f"will not write a model over what is there already: {output}")


def _fit(training: Examples, recipe: Recipe, progress: Progress) -> keras.Model:
    weights = training.weights
    network = wide_and_deep(float(weights.mean()), float(weights.std()), recipe.seed)
    starts = range(0, len(weights), _BATCH)
    decay = keras.optimizers.schedules.CosineDecay(
        _LEARNING_RATE, recipe.epochs * len(starts), _FLOOR
    )
    network.compile(optimizer=keras.optimizers.Adam(decay), loss="mse")
    encoded = Encoder()(_columns(training))
    for epoch in range(1, recipe.epochs + 1):
        losses = []
        # The rows are in no order, so there is nothing to shuffle.
        for batch in (slice(start, start + _BATCH) for start in starts):
            inputs = [encoded.wide[batch], encoded.numbers[batch]]
            losses.append(network.train_on_batch(inputs, weights[batch]))
        rmse = float(np.sqrt(np.mean(losses)))
        progress(f"epoch {epoch} of {recipe.epochs}: RMSE {rmse:.4f} pounds in training")
    return network


def _columns(training: Examples) -> dict[str, Any]:
    return {
        name: tf.constant([instance[name] for instance in training.instances], dtype)  # type: ignore[literal-required]
        for name, dtype in INPUTS.items()
    }


def _parameter_count(network: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
