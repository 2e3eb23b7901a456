"""Generated births as the model is trained and evaluated on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf_dataflow_serving.natality.generator import blocks_of
from tf_dataflow_serving.natality.generator import rows as rows_of
from tf_dataflow_serving.natality.instance import Instance, from_row
from tf_dataflow_serving.natality.schema import LABEL
from tf_dataflow_serving.natality.validation import InvalidInstance, validate

HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Examples:
    """Valid instances and their true weights in pounds, float32 of shape [examples]."""

    instances: Sequence[Instance]
    weights: NDArray[np.float32]

    def split(self) -> tuple["Examples", "Examples"]:
        """Return those to train on, and the last fifth, which is held out.

        Generated rows are independent of each other: their order is as good as any.
        """
        border = len(self.instances) - round(len(self.instances) * HELD_OUT_SHARE)
        return (
            Examples(self.instances[:border], self.weights[:border]),
            Examples(self.instances[border:], self.weights[border:]),
        )


def examples(rows: int, seed: int) -> Examples:
    """Return the births, out of that many generated rows, that are valid and were weighed."""
    instances: list[Instance] = []
    weights: list[float] = []
    for block in blocks_of(rows, seed):
        for row in rows_of(block):
            try:
                instance = validate(from_row(row))
            except InvalidInstance:
                continue
            if row[LABEL] is not None:
                instances.append(instance)
                weights.append(row[LABEL])
    return Examples(instances, np.array(weights, np.float32))
