"""What one run did, as data."""

from collections.abc import Iterable
from dataclasses import dataclass

from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from tf_dataflow_serving.inference import remote
from tf_dataflow_serving.pipelines import dead_letter
from tf_dataflow_serving.pipelines.estimate import ESTIMATES_COUNTER
from tf_dataflow_serving.runners.streaming.pipeline_result import StreamingResult

# The name that RunInference gives it (apache_beam/ml/inference/base.py, _MetricsCollector).
_BATCH_SIZE = "inference_request_batch_size"


@dataclass(frozen=True)
class BatchSizes:
    """How many instances the prediction calls had."""

    calls: int
    minimum: int
    mean: float
    maximum: int


@dataclass(frozen=True)
class Counts:
    """What a pipeline's own counters say."""

    estimates: int
    dead_letters: int
    batch_sizes: BatchSizes | None
    failed_bundles: int = 0
    throttled_seconds: int = 0


@dataclass(frozen=True)
class RunResult:
    """One finished run. `cpu_seconds` are user and system time of the pipeline's process.

    `failed_bundles` counts those that a stream on this machine had to try again;
    `throttled_seconds` are those that workers waited because the prediction service asked for it.
    """

    experiment: str
    inference_type: str
    seconds: float
    cpu_seconds: float
    estimates: int
    dead_letters: int
    batch_sizes: BatchSizes | None
    failed_bundles: int = 0
    throttled_seconds: int = 0

    @property
    def rows(self) -> int:
        """Inputs that came out, as estimates or as dead letters."""
        return self.estimates + self.dead_letters


def counts(*results: PipelineResult) -> Counts:
    """Add up the counters of the pipelines of a run."""
    return Counts(
        estimates=_total(results, dead_letter.COUNTER_NAMESPACE, ESTIMATES_COUNTER),
        dead_letters=_total(results, dead_letter.COUNTER_NAMESPACE, dead_letter.COUNTER),
        batch_sizes=next((sizes for sizes in map(_batch_sizes, results) if sizes), None),
        failed_bundles=sum(
            result.failed_bundles for result in results if isinstance(result, StreamingResult)
        ),
        throttled_seconds=_total(results, remote.NAMESPACE, remote.THROTTLED_COUNTER),
    )


def _total(results: Iterable[PipelineResult], namespace: str, name: str) -> int:
    selected = MetricsFilter().with_namespace(namespace).with_name(name)
    return sum(
        counter.result
        for result in results
        for counter in result.metrics().query(selected)["counters"]
    )


def _batch_sizes(result: PipelineResult) -> BatchSizes | None:
    selected = MetricsFilter().with_name(_BATCH_SIZE)
    found = result.metrics().query(selected)["distributions"]
    if not found or not found[0].result.count:
        return None
    sizes = found[0].result
    return BatchSizes(sizes.count, sizes.min, sizes.mean, sizes.max)
