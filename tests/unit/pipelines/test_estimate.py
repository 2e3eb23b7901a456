"""The model's place in a pipeline, with a handler that rejects some instances."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.pipelines.dead_letter import DeadLetter
from tf_dataflow_serving.pipelines.estimate import Estimate, EstimateMicroBatches
from tf_dataflow_serving.runners.result import counts


class Doubling(ModelHandler):
    """Stands for a model: twice the number; rejects the odd ones."""

    def load_model(self) -> object:
        return Doubling()

    def run_inference(
        self, batch: Sequence[int], _model: object, _arguments: Any = None
    ) -> Iterable[PredictionResult]:
        for number in batch:
            yield PredictionResult(number, Rejected("odd") if number % 2 else number * 2.0)


@pytest.mark.parametrize(
    "estimate",
    [
        Estimate(Doubling(), DeadLetter),
        EstimateMicroBatches(Doubling(), DeadLetter, size=2, seconds=1),
    ],
    ids=["in bundles", "in micro-batches"],
)
def test_estimates_and_rejections_part(estimate: beam.PTransform) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        numbers = pipeline | beam.Create([("a", 2), ("b", 3), ("c", 4)])
        estimates, rejected = numbers | estimate
        assert_that(estimates, equal_to([("a", 4.0), ("c", 8.0)]), label="estimates")
        assert_that(rejected, equal_to([DeadLetter("b", "odd")]), label="rejected")


def test_estimates_are_counted() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([("a", 2), ("b", 3), ("c", 4)]) | Estimate(Doubling(), DeadLetter)
    result = pipeline.run()
    assert counts(result).estimates == 2
    sizes = counts(result).batch_sizes
    assert sizes is not None
    assert sizes.mean * sizes.calls == 3
