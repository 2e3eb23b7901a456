"""What Beam's runner calls: a pipeline in a thread of its own."""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from apache_beam.runners.direct.watermark_manager import WatermarkManager

from tf_dataflow_serving.runners.streaming.attempts import RootAttempt
from tf_dataflow_serving.runners.streaming.control import Control
from tf_dataflow_serving.runners.streaming.evaluators import evaluator_of
from tf_dataflow_serving.runners.streaming.failures import Failures, beam_silenced
from tf_dataflow_serving.runners.streaming.graph import Graph, Step
from tf_dataflow_serving.runners.streaming.inputs import Inputs
from tf_dataflow_serving.runners.streaming.ledger import Ledger
from tf_dataflow_serving.runners.streaming.loop import Loop
from tf_dataflow_serving.runners.streaming.metrics import Metrics
from tf_dataflow_serving.runners.streaming.reads import PubSubRead
from tf_dataflow_serving.runners.streaming.schedule import Schedule
from tf_dataflow_serving.runners.streaming.turn import Turns

_LOGGER = logging.getLogger(__name__)

CANCEL_SECONDS = 15.0


class StreamingExecutor:
    """Stands in for `apache_beam.runners.direct.executor.Executor`."""

    def __init__(self, value_to_consumers: Mapping[Any, Any], registry: Any, context: Any) -> None:
        self.failures = Failures()
        self._context = context
        self._registry = registry
        self._control = Control()
        self._graph = Graph.of(value_to_consumers, context._step_names)
        self._metrics = Metrics(self._graph, context)
        self._ledger = Ledger(self._graph, context, self._metrics)
        self._evaluators = {
            step: evaluator_of(step, context, registry)
            for step in self._graph.steps
            if not step.is_pubsub_read
        }
        self._reads: list[PubSubRead] = []
        self._finished = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="streaming-runner", daemon=True)

    @property
    def is_finished(self) -> bool:
        """Whether the pipeline has ended, in whichever way."""
        return self._finished.is_set()

    @property
    def is_draining(self) -> bool:
        """Whether it was asked to drain."""
        return self._control.is_draining

    @property
    def error(self) -> BaseException | None:
        """What the pipeline failed with."""
        return self._error

    def start(self, _roots: Any) -> None:
        """Begin, in a thread of its own. Raises what a subscription cannot be opened for."""
        for step in self._graph.roots():
            self._ledger.hold_watermark(step, WatermarkManager.WATERMARK_NEG_INF)
        try:
            self._open_reads()
        except BaseException:
            self._close()
            raise
        self._thread.start()

    def wait(self, timeout: float | None) -> bool:
        """Return whether the pipeline has ended, within so many seconds."""
        return self._finished.wait(timeout)

    def await_completion(self) -> None:
        """Wait for the end. Raises what the pipeline failed with."""
        self._finished.wait()
        if self._error is not None:
            raise self._error

    def drain(self) -> None:
        """Read no more, let everything flow to its end, then be done."""
        self._control.drain()

    def cancel(self) -> None:
        """End as soon as the turn that is being worked out allows it; returns at once."""
        self._control.cancel()

    def shutdown(self) -> None:
        """Cancel, and wait for the end; a step that does not return is left behind."""
        self.cancel()
        self._thread.join(CANCEL_SECONDS)
        if self._thread.is_alive():
            _LOGGER.error("a step has not returned for %d s; it is not waited for", CANCEL_SECONDS)

    def _run(self) -> None:
        try:
            with beam_silenced():
                self._metrics.start()
                self._live()
        except BaseException as error:
            self._error = error
        finally:
            self._finished.set()

    def _live(self) -> None:
        try:
            try:
                self._loop().run()
            finally:
                self.failures.summarize()
        finally:
            self._close()

    def _open_reads(self) -> None:
        for step in self._graph.roots():
            if step.is_pubsub_read:
                options = self._context.pipeline_options
                self._reads.append(PubSubRead(step, options, self._control.wake, self._ledger.now))

    def _loop(self) -> Loop:
        ledger = self._ledger
        inputs = Inputs(self._reads, ledger)
        schedule = Schedule(ledger, inputs, self._root_attempts(), self.failures)
        turns = Turns(
            self._graph, self._evaluators, ledger.side_inputs, ledger.holds, self._metrics
        )
        return Loop(ledger, turns, schedule, inputs, self._control)

    def _root_attempts(self) -> list[RootAttempt]:
        return [
            RootAttempt(step, bundle, self._evaluators[step])
            for step in self._graph.roots()
            if not step.is_pubsub_read
            for bundle in self._root_bundles(step)
        ]

    def _root_bundles(self, step: Step) -> list[Any]:
        provider = self._registry.get_root_bundle_provider(step.applied)
        bundles: list[Any] = provider.get_root_bundles()
        return bundles

    def _close(self) -> None:
        """End everything that is open, whatever happens to the rest of it."""
        ends = [read.close for read in self._reads]
        ends += [evaluator.close for evaluator in self._evaluators.values()]
        for end in ends:
            try:
                end()
            except Exception as error:
                _LOGGER.warning("the pipeline did not end cleanly: %r", error)
