"""Finds the instances that spoil a batch, so that the others keep their estimates."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.failures import TooSlow
from tf_dataflow_serving.inference.results import Estimate, Rejected

Item = TypeVar("Item")


def isolate(
    items: Sequence[Item], predict: Callable[[Sequence[Item]], Sequence[Estimate]]
) -> list[Estimate]:
    """Return what `predict` gives for each item, `Rejected` for those that it refuses.

    A refused batch is halved until the items at fault stand alone: k of n cost about 2 k log2(n)
    calls; one that is too slow is halved too. An endpoint that refuses everything
    (EndpointRefused) is asked once. Raises TooSlow for an item that is so by itself.
    """
    if not items:
        return []
    try:
        return list(predict(items))
    except PredictionRejected as error:
        if len(items) == 1 or isinstance(error, EndpointRefused):
            return [Rejected(error.reason)] * len(items)
    except TooSlow:
        if len(items) == 1:
            raise
    middle = len(items) // 2
    return [*isolate(items[:middle], predict), *isolate(items[middle:], predict)]
