"""Guards what `runners/local.py` relies on in apache-beam 2.77."""

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct import executor
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult
from apache_beam.testing import test_stream

from tf_dataflow_serving.runners.local import failure, local_runner

BUNDLES = 5


class Count(beam.DoFn):
    def __init__(self) -> None:
        super().__init__()
        self.elements = Metrics.counter("test", "elements")
        self.sizes = Metrics.distribution("test", "sizes")

    def process(self, element: int) -> None:
        self.elements.inc()
        self.sizes.update(element)


class Fail(beam.DoFn):
    def process(self, element: int) -> None:
        raise ValueError(f"cannot take {element}")


def run(runner: beam.runners.PipelineRunner, dofn: beam.DoFn) -> PipelineResult:
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions([], streaming=True))
    stream = test_stream.TestStream()
    for element in range(BUNDLES):
        stream = stream.add_elements([element])
    _ = pipeline | stream.advance_watermark_to_infinity() | beam.ParDo(dofn)
    return pipeline.run()


def elements(result: PipelineResult) -> int:
    return int(result.metrics().query()["counters"][0].result)


@pytest.fixture
def stock_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "MetricsContainer", MetricsContainer)


def test_the_runners_are_those_that_need_no_download() -> None:
    assert type(local_runner(streaming=True)) is BundleBasedDirectRunner
    assert type(local_runner(streaming=False)) is FnApiRunner


def test_metrics_of_a_stream_count_every_bundle() -> None:
    result = run(local_runner(streaming=True), Count())
    result.wait_until_finish()
    assert elements(result) == BUNDLES
    sizes = result.metrics().query()["distributions"][0].result
    assert (sizes.count, sizes.min, sizes.max) == (BUNDLES, 0, BUNDLES - 1)


def test_two_pipelines_do_not_share_their_metrics() -> None:
    results = [run(local_runner(streaming=True), Count()) for _ in range(2)]
    for result in results:
        result.wait_until_finish()
    assert [elements(result) for result in results] == [BUNDLES, BUNDLES]


@pytest.mark.usefixtures("stock_containers")
def test_the_stock_runner_still_counts_the_first_bundle_only() -> None:
    """Once this fails, Beam has mended it, and `_StepContainers` can go."""
    result = run(BundleBasedDirectRunner(), Count())
    result.wait_until_finish()
    assert elements(result) == 1


def test_what_ended_a_stream_is_found_without_waiting() -> None:
    result = run(local_runner(streaming=True), Fail())
    while (error := failure(result)) is None:
        continue
    result.cancel()
    assert "cannot take 0" in str(error)
