"""How good a model is: its error on births that it was not trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_dataflow_serving.model.contract import Signature
from tf_dataflow_serving.model.data import Examples

_BATCH = 10_000


@dataclass(frozen=True)
class Evaluation:
    """Errors in pounds on held-out births: the model's, and that of always saying the mean."""

    examples: int
    rmse: float
    mean_absolute_error: float
    constant_rmse: float

    def __str__(self) -> str:
        return (
            f"RMSE {self.rmse:.3f} pounds on {self.examples:,} held-out births"
            f" (always the mean: {self.constant_rmse:.3f})"
        )


def evaluate(signature: Signature, held_out: Examples, mean: float) -> Evaluation:
    """Evaluate a model as it is served; `mean` is that of the weights it was trained on."""
    errors = _predictions(signature, held_out) - held_out.weights
    return Evaluation(
        examples=len(held_out.weights),
        rmse=_root_mean_square(errors),
        mean_absolute_error=float(np.abs(errors).mean()),
        constant_rmse=_root_mean_square(mean - held_out.weights),
    )


def _predictions(signature: Signature, examples: Examples) -> NDArray[Any]:
    starts = range(0, len(examples.instances), _BATCH)
    batches = (signature.predict(examples.instances[start : start + _BATCH]) for start in starts)
    return np.concatenate([np.array(batch) for batch in batches])


def _root_mean_square(errors: NDArray[Any]) -> float:
    return float(np.sqrt(np.square(errors).mean()))
