"""What the local runner needs: the one place that touches private parts of Beam's runners.

Written for apache-beam 2.77; tests/unit/runners/test_local.py fails when these parts change.
"""

import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.runners.direct import executor
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, _DirectReadFromPubSub
from apache_beam.runners.direct.transform_evaluator import (
    TransformEvaluatorRegistry,
    _PubSubReadEvaluator,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from tf_dataflow_serving.runners.leased_read import LeasedSubscription

NAME = "DirectRunner"

# The read occupies the runner's only thread: no timer fires while it waits for messages.
READ_WAIT_SECONDS = 0.02


_END_OF_TIME = GlobalWindow().max_timestamp()


def local_runner(streaming: bool) -> PipelineRunner:
    """Return the runner that DirectRunner would choose, without its attempt to download Prism.

    That attempt looks for a server on the internet and, where packets are dropped, waits for
    minutes (SwitchingDirectRunner.run_pipeline).
    """
    if not streaming:
        return FnApiRunner()
    executor.MetricsContainer = _containers
    return BundleBasedDirectRunner()


class _StepContainers(threading.local):
    """One metrics container for each step, emptied before each bundle.

    The streaming runner makes a new one for every bundle, but its state sampler keeps giving
    the steps the first one (StateSampler.scoped_state): all counts end at the first bundle.
    """

    def __init__(self) -> None:
        self._containers: dict[str, MetricsContainer] = {}

    def __call__(self, step_name: str) -> MetricsContainer:
        container = self._containers.setdefault(step_name, MetricsContainer(step_name))
        container.reset()
        return container


_containers = _StepContainers()


def failure(result: PipelineResult) -> BaseException | None:
    """Return what ended a streaming pipeline on the local runner, or None while it runs.

    The result's own state stays RUNNING until somebody waits for it, and that wait has no
    time limit (DirectPipelineResult.wait_until_finish).
    """
    update = result._executor._executor.visible_updates.poll()
    if update is None:
        return None
    exception = update.exception
    if isinstance(exception, tuple):
        exception = exception[0]
    return exception or EOFError("the stream ended by itself")


@dataclass(frozen=True)
class LeasedReads:
    """The Pub/Sub reads of the pipelines that run inside `leased_reads()`."""

    _by_step: dict[Any, LeasedSubscription] = field(default_factory=dict)

    def of(self, step: Any, subscription: str) -> LeasedSubscription:
        """Return the read of a step, opened at its first bundle."""
        if step not in self._by_step:
            self._by_step[step] = LeasedSubscription(subscription)
        return self._by_step[step]

    def wait_until_settled(self, timeout: float) -> bool:
        """Return whether all that was read is acknowledged, in time for `timeout` seconds."""
        end = time.monotonic() + timeout
        return all(
            read.wait_until_settled(max(0.0, end - time.monotonic()))
            for read in self._by_step.values()
        )

    def close(self) -> None:
        """Give back what is not acknowledged."""
        for read in self._by_step.values():
            read.close()


@contextmanager
def leased_reads() -> Iterator[LeasedReads]:
    """Make the streaming runner acknowledge messages after they are written, not before.

    The stock read pulls ten messages at a time and acknowledges them at once, so that whatever
    fails afterwards is lost. Enter before the pipeline runs; leave after it was cancelled.
    """
    reads = LeasedReads()
    evaluators = TransformEvaluatorRegistry._test_evaluators_overrides
    evaluators[_DirectReadFromPubSub] = type(
        "_Evaluator", (_LeasedReadEvaluator,), {"reads": reads}
    )
    try:
        yield reads
    finally:
        del evaluators[_DirectReadFromPubSub]
        reads.close()


class _LeasedReadEvaluator(_PubSubReadEvaluator):  # type: ignore[misc] # Beam has no types
    """Beam's evaluator of a Pub/Sub read, with leased messages."""

    reads: LeasedReads

    def _read_from_pubsub(
        self, timestamp_attribute: str | None
    ) -> list[tuple[Timestamp, PubsubMessage]]:
        read = self.reads.of(self._applied_ptransform, self._sub_name)
        watermarks = self._evaluation_context._watermark_manager._transform_to_watermarks
        # The runner comes back here only when nothing is executing: a bundle that is still
        # pending then has failed, and nothing may be acknowledged any more.
        if not _has_pending(watermarks):
            read.settle(_timers(watermarks))
        return [
            (_timestamp(message, timestamp_attribute), PubsubMessage._from_message(message))
            for message in read.take(READ_WAIT_SECONDS)
        ]


def _has_pending(watermarks: Any) -> bool:
    """Whether a bundle of elements waits for a step; the reads' own bundles have none."""
    return any(
        bundle.has_elements() for step in watermarks.values() for bundle in list(step._pending)
    )


def _timers(watermarks: Any) -> frozenset[Hashable]:
    """Return every timer that is set, with its step, key, window and time.

    Those for the end of the global window hold nothing that could still come out.
    """
    return frozenset(
        (id(step), key, window, identity, timestamp)
        for step in watermarks.values()
        for key, state in step._keyed_states.items()
        for window, timers in state.timers.items()
        for identity, timestamp in timers.items()
        if timestamp < _END_OF_TIME
    )


def _timestamp(message: Any, attribute: str | None) -> Timestamp:
    """Return the element's time: RFC 3339 or milliseconds in the attribute, else publish time."""
    text = message.attributes.get(attribute) if attribute else None
    if text is None:
        return Timestamp.from_utc_datetime(message.publish_time)
    try:
        return Timestamp(micros=int(text) * 1000)
    except ValueError:
        return Timestamp.from_rfc3339(text)
