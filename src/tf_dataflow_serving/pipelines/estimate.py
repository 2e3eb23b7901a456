"""The model's place in a pipeline: keyed instances in, keyed estimates and dead letters out."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints.decorators import no_annotations

from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.pipelines.dead_letter import (
    COUNTER_NAMESPACE,
    TAG,
    DeadLetter,
    TaggedLetter,
)

Key = TypeVar("Key")
LetterOf = Callable[[Any, str], DeadLetter]

ESTIMATES_COUNTER = "estimates"


class Estimate(beam.PTransform):
    """Estimates (key, Instance) pairs; returns (key, pounds) pairs and the dead letters.

    The handler's own batching applies within a bundle. `letter_of` makes the dead letter, from its
    key and the reason, of an instance that the model rejects.
    """

    def __init__(self, handler: ModelHandler, letter_of: LetterOf) -> None:
        super().__init__()
        self._handler = handler
        self._letter_of = letter_of

    @no_annotations
    def expand(self, instances: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        """Apply the model."""
        results = instances | RunInference(
            KeyedModelHandler(self._handler), metrics_namespace=COUNTER_NAMESPACE
        )
        return _split(results, self._letter_of)


class EstimateMicroBatches(beam.PTransform):
    """Like `Estimate`, in batches across bundles: of `size` instances, or what `seconds` bring."""

    def __init__(
        self, handler: ModelHandler, letter_of: LetterOf, size: int, seconds: float
    ) -> None:
        super().__init__()
        self._handler = handler
        self._letter_of = letter_of
        self._size = size
        self._seconds = seconds

    @no_annotations
    def expand(self, instances: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        """Apply the model."""
        batches = (
            instances
            # One group; Beam shards it by worker thread, so that it still spreads.
            | "OneGroup" >> beam.WithKeys(lambda _: 0)
            | "MicroBatch"
            >> beam.GroupIntoBatches.WithShardedKey(
                self._size, max_buffering_duration_secs=self._seconds
            )
            | "DropShard" >> beam.Values()
        )
        results = batches | RunInference(
            KeyedModelHandler(self._handler).with_no_batching(), metrics_namespace=COUNTER_NAMESPACE
        )
        return _split(results, self._letter_of)


def _split(
    results: beam.PCollection, letter_of: LetterOf
) -> tuple[beam.PCollection, beam.PCollection]:
    outputs = results | "Split" >> beam.ParDo(_SplitRejected(letter_of)).with_outputs(
        TAG, main="estimates"
    )
    return outputs.estimates, outputs[TAG]


class _SplitRejected(beam.DoFn):
    """Sends instances that the model rejected to the dead letters."""

    def __init__(self, letter_of: LetterOf) -> None:
        super().__init__()
        self._letter_of = letter_of
        self._counter = Metrics.counter(COUNTER_NAMESPACE, ESTIMATES_COUNTER)

    def process(self, keyed: tuple[Key, Any]) -> Iterable[tuple[Key, float] | TaggedLetter]:
        key, result = keyed
        if isinstance(result.inference, Rejected):
            yield TaggedOutput(TAG, self._letter_of(key, result.inference.reason))
        else:
            self._counter.inc()
            yield key, result.inference
