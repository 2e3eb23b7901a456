"""The model card: what a model is, where it comes from, how good it is, what it is not for."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from tf_dataflow_serving.model import KEY, KEYED_SIGNATURE_NAME
from tf_dataflow_serving.model.evaluation import Evaluation
from tf_dataflow_serving.natality.schema import FEATURES, Feature, NumericFeature

FILE_NAME: Final = "MODEL_CARD.md"


@dataclass(frozen=True)
class Recipe:
    """What it takes to train the same model again."""

    rows: int
    epochs: int
    seed: int

    def __str__(self) -> str:
        return (
            f"dataflow-serving train --rows {self.rows} --epochs {self.epochs} --seed {self.seed}"
        )


@dataclass(frozen=True)
class TrainingRun:
    """How a model came to be, and how good it is."""

    recipe: Recipe
    training_examples: int
    parameters: int
    evaluation: Evaluation


def write_card(directory: Path, run: TrainingRun) -> None:
    """Write the card of a run beside its SavedModel."""
    (directory / FILE_NAME).write_text(_card(run), encoding="utf-8")


def _card(run: TrainingRun) -> str:
    evaluation = run.evaluation
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
    features = "\n".join(_feature_line(feature) for feature in FEATURES)
    better = 1 - evaluation.rmse / evaluation.constant_rmse
    return f"""\
# Model card: baby weight

A wide-and-deep regression with {run.parameters:,} parameters. It estimates a birth's weight from
eight features, and is here to give pipelines a model to serve.

## Not for any other use

It was trained on **generated** births, not on data of people. It knows nothing about births that
the generator was not told. Never use it for a decision about anybody.

## Data

{run.recipe.rows:,} generated rows in the form of the public table `samples.natality`, of which
those that are valid and have a weight were used. The generator follows margins published by the
National Center for Health Statistics (final data on births, 2002 to 2005: plurality, sex, marital
status, smoking, race) and those of a sample of 13,405 rows after 2000 (age, gestation, weight).
How the features act together on the weight is the generator's own.

## Training

| | |
|---|---|
| command | `{run.recipe} --output DIR` |
| trained on | {run.training_examples:,} births |
| held out | {evaluation.examples:,} births |
| with | {versions} |

The same command gives the same model on the same kind of machine and with the same versions.

## Evaluation

On the births that were held out, through the exported signature, in pounds:

| | model | always the mean |
|---|---|---|
| root mean square error | {evaluation.rmse:.4f} | {evaluation.constant_rmse:.4f} |
| mean absolute error | {evaluation.mean_absolute_error:.4f} | |

The error is {better:.0%} lower than the constant's. Most of the rest is the noise that the
generator adds to each weight, which no model can learn; on real births the error is unknown.

## Contract

Signatures `predict` and `serving_default`. Inputs, each of shape [batch]:

| name | type | values |
|---|---|---|
{features}

Output `predictions`, float32 of shape [batch, 1], in pounds. The race "Samaon" is spelt as in the
model that the contract comes from. Words and numbers other than these give meaningless estimates
and no error: to keep them from the model is the caller's part.

A third signature, `{KEYED_SIGNATURE_NAME}`, has one more string input, `{KEY}`, and gives it back
as one more output: the results of a batch prediction job can be joined to their inputs by it.
"""


def _feature_line(feature: Feature) -> str:
    if isinstance(feature, NumericFeature):
        values = f"{feature.minimum} to {feature.maximum}"
    else:
        values = ", ".join(feature.vocabulary)
    return f"| {feature.name} | {feature.dtype} | {values} |"


def _versions() -> Mapping[str, str]:
    return {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
    }
