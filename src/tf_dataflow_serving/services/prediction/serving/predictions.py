"""The forms in which protocols return predictions."""

from collections.abc import Sequence
from typing import Any


def without_single_names(predictions: Sequence[dict[str, Any]]) -> Sequence[Any]:
    """Return the values alone where the model has one output, else the objects as they are.

    So TensorFlow Serving writes them ("RESTful API", "Predict API", row format), and with it the
    containers of Vertex AI.
    """
    if predictions and len(predictions[0]) == 1:
        return [value for prediction in predictions for value in prediction.values()]
    return predictions
