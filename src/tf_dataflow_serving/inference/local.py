"""Estimates from a SavedModel in this process: in a Beam pipeline, and by plain call."""

import functools
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from tf_dataflow_serving.inference.errors import PredictionRejected
from tf_dataflow_serving.inference.isolation import isolate
from tf_dataflow_serving.inference.results import NOT_FINITE, Estimate
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.model.contract import Signature, load_signature
from tf_dataflow_serving.natality.instance import Instance

_loading = threading.Lock()


def estimate_local(
    instances: Sequence[Instance], model_dir: str | Path | None = None
) -> list[float]:
    """Return the estimated weights, in pounds, by the model in a directory, or the shipped one.

    Instances have to be valid. Raises ModelNotFound, ContractMismatch.
    """
    return _signature(_location(model_dir)).predict(instances)


class LocalModelHandler(ModelHandler):  # type: ignore[misc] # Beam's types are not read
    """Runs inference by a model that is loaded once a process, whatever the runner does.

    Each `PredictionResult.inference` is pounds, or `Rejected` for an instance that the model
    fails on. `batch_size` instances go through the model at once, fewer where a bundle ends.
    """

    def __init__(self, model_dir: str | Path | None = None, *, batch_size: int = 1_000) -> None:
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._location = _location(model_dir)

    def load_model(self) -> Signature:
        """Return the model, warmed up; Beam may ask for it in every bundle."""
        return _signature(self._location)

    def run_inference(
        self,
        batch: Sequence[Instance],
        model: Signature,
        inference_args: Mapping[str, Any] | None = None,  # noqa: ARG002 - Beam passes it
    ) -> list[PredictionResult]:
        """Return a result for each instance."""
        estimates = isolate(batch, functools.partial(_predict, model))
        return [
            PredictionResult(instance, estimate, self._location)
            for instance, estimate in zip(batch, estimates, strict=True)
        ]


def _predict(model: Signature, instances: Sequence[Instance]) -> Sequence[Estimate]:
    try:
        estimates = model.predict(instances)
    except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        raise PredictionRejected(f"not an instance: {error!r}") from error
    return [value if math.isfinite(value) else NOT_FINITE for value in estimates]


def _location(model_dir: str | Path | None) -> str:
    return str(model_dir or SHIPPED)


def _signature(location: str) -> Signature:
    # The cache alone would let threads that come at the same time load it several times.
    with _loading:
        return _load(location)


@functools.lru_cache(maxsize=4)
def _load(location: str) -> Signature:
    signature = load_signature(location)
    signature.warm_up()
    return signature
