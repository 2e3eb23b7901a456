"""From options to a running job to its result."""

import gc
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.flags import Experiment
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines import batch, batch_predict, dead_letter, stream
from tf_dataflow_serving.runners import local
from tf_dataflow_serving.runners.handlers import model_handler, require_model
from tf_dataflow_serving.runners.prediction_job import (
    job_results,
    require_job_model,
    run_prediction_job,
)
from tf_dataflow_serving.runners.result import Counts, RunResult, counts
from tf_dataflow_serving.runners.stop_signals import StopSignals, stop_signals
from tf_dataflow_serving.runners.streaming.installation import installed
from tf_dataflow_serving.runners.streaming.pipeline_result import StreamingResult
from tf_dataflow_serving.runners.table_watch import TableWatch

POLL_SECONDS = 0.2
END_POLL_SECONDS = 0.05


class PipelineFailed(UserError):
    """A pipeline ended with an error."""

    @classmethod
    def because(cls, error: BaseException) -> "PipelineFailed":
        """Return the last line of what Beam says, which is often a whole traceback."""
        lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        return cls(f"the pipeline failed: {lines[-1].strip()}")


@dataclass(frozen=True)
class Usage:
    """Wall clock and CPU time, in seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Usage":
        """Read the clocks of this process and of its children that have ended."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
        return cls(time.monotonic(), cpu)


def launch(options: PipelineOptions, on_running: Callable[[], None]) -> RunResult:
    """Run the experiment that the options name and return what it did.

    `on_running` is called once a stream reads its messages. Raises PipelineFailed.
    """
    serving = options.view_as(ServingOptions)
    experiment = Experiment(serving.experiment_type)
    if options.view_as(StandardOptions).runner == local.NAME:
        _REQUIRE_MODEL.get(experiment, require_model)(serving)
        # TensorFlow's objects are there for good: looking through them takes 0.1 s each time.
        gc.freeze()
    start = Usage.now()
    done = _RUN[experiment](options, on_running)
    end = Usage.now()
    return RunResult(
        experiment=experiment,
        inference_type=serving.inference_type,
        seconds=end.wall - start.wall,
        cpu_seconds=end.cpu - start.cpu,
        estimates=done.estimates,
        dead_letters=done.dead_letters,
        batch_sizes=done.batch_sizes,
        failed_bundles=done.failed_bundles,
        throttled_seconds=done.throttled_seconds,
    )


def _run_batch(options: PipelineOptions, _on_running: Callable[[], None]) -> Counts:
    serving = options.view_as(ServingOptions)
    _replace_results(serving)
    handler = model_handler(serving)
    return counts(_run_to_end(options, lambda pipeline: batch.build(pipeline, serving, handler)))


def _run_batch_predict(options: PipelineOptions, _on_running: Callable[[], None]) -> Counts:
    serving = options.view_as(ServingOptions)
    _replace_results(serving)
    prepared = _run_to_end(options, lambda p: batch_predict.build_prepare(p, serving))
    job = run_prediction_job(serving)
    results = job_results(serving)
    joined = _run_to_end(
        options,
        lambda p: batch_predict.build_join(p, serving, results, job.output_directory),
    )
    return counts(prepared, joined)


def _run_stream(options: PipelineOptions, on_running: Callable[[], None]) -> Counts:
    return _run_until_stopped(options, stream.build, on_running)


def _run_micro_batches(options: PipelineOptions, on_running: Callable[[], None]) -> Counts:
    return _run_until_stopped(options, stream.build_micro_batches, on_running)


_RUN = {
    Experiment.BATCH: _run_batch,
    Experiment.BATCH_PREDICT: _run_batch_predict,
    Experiment.STREAM: _run_stream,
    Experiment.STREAM_MICRO_BATCHES: _run_micro_batches,
}


_REQUIRE_MODEL = {Experiment.BATCH_PREDICT: require_job_model}


def _run_to_end(options: PipelineOptions, build: Callable[[beam.Pipeline], None]) -> PipelineResult:
    result = _start(options, build)
    try:
        state = result.wait_until_finish()
    except Exception as error:
        raise PipelineFailed.because(error) from error
    if state != PipelineState.DONE:
        raise PipelineFailed(f"the pipeline ended as {state}")
    return result


def _start(options: PipelineOptions, build: Callable[[beam.Pipeline], None]) -> PipelineResult:
    standard = options.view_as(StandardOptions)
    runner = standard.runner
    if runner == local.NAME:
        runner = local.local_runner(standard.streaming)
    pipeline = beam.Pipeline(runner=runner, options=options)
    build(pipeline)
    try:
        return pipeline.run()
    except Exception as error:
        raise PipelineFailed.because(error) from error


def _run_until_stopped(
    options: PipelineOptions,
    build: Callable[..., None],
    on_running: Callable[[], None],
) -> Counts:
    """Run a stream until its messages are through, a signal comes, or it fails."""
    serving = options.view_as(ServingOptions)
    handler = model_handler(serving)
    watch = TableWatch.start(options) if serving.messages else None
    is_local = options.view_as(StandardOptions).runner == local.NAME
    with stop_signals() as signals, installed() if is_local else nullcontext():
        result = _start(options, lambda pipeline: build(pipeline, serving, handler))
        try:
            on_running()
            while not signals.stop.wait(POLL_SECONDS) and not (watch and watch.is_complete()):
                _raise_failure(result)
            _drain(result, signals)
        finally:
            result.cancel()
    return counts(result)


def _raise_failure(result: PipelineResult) -> None:
    """Raise PipelineFailed if a stream has ended by itself."""
    if not PipelineState.is_terminal(result.state):
        return
    if isinstance(result, StreamingResult) and result.error is not None:
        raise PipelineFailed.because(result.error) from result.error
    raise PipelineFailed(f"the stream ended by itself, as {result.state}")


def _drain(result: PipelineResult, signals: StopSignals) -> None:
    """Let what was read come out. Raises PipelineFailed if that fails, or is not to be."""
    if not isinstance(result, StreamingResult):
        return
    result.drain()
    while result.state == PipelineState.RUNNING:
        if signals.at_once.wait(END_POLL_SECONDS):
            raise PipelineFailed("cancelled; what was not written was given back to Pub/Sub")
    if result.error is not None:
        raise PipelineFailed.because(result.error) from result.error


def _replace_results(serving: ServingOptions) -> None:
    """Delete the results of an earlier run at the same output, so that none is mixed in."""
    directory = batch.output_directory(serving)
    patterns = [
        f"{directory}/{batch.OBJECT_NAME}-*.csv",
        f"{directory}/{dead_letter.OBJECT_NAME}-*.jsonl",
        f"{batch_predict.job_directory(directory)}/prediction.*",
        f"{batch_predict.job_directory(directory)}/prediction-*/*",
        f"{directory}/prepared/*.jsonl",
    ]
    matches = FileSystems.match(patterns)
    found = [metadata.path for match in matches for metadata in match.metadata_list]
    if found:
        FileSystems.delete(found)
