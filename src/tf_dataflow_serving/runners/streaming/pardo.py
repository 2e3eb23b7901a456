"""DoFns that are set up once, not for every bundle as Beam's streaming local runner does."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from apache_beam import coders, pvalue
from apache_beam.internal import pickler
from apache_beam.runners import common
from apache_beam.runners.common import DoFnRunner, DoFnState
from apache_beam.runners.direct.direct_userstate import DirectUserStateContext
from apache_beam.runners.direct.evaluation_context import DirectStepContext
from apache_beam.transforms.userstate import get_dofn_specs
from apache_beam.utils import counters

from tf_dataflow_serving.runners.streaming.evaluation import Evaluated, Output, Work
from tf_dataflow_serving.runners.streaming.graph import Step, is_stateful

_LOGGER = logging.getLogger(__name__)


class ParDo:
    """Carries out a ParDo. Its DoFn lives from the first bundle to the end or to an exception."""

    def __init__(self, step: Step, dofn: Any, keyed_states: dict[Hashable, Any]) -> None:
        self._step = step
        self._dofn = dofn
        self._keyed_states = keyed_states
        self._running: _RunningDoFn | None = None
        self._side_inputs: Sequence[Any] = ()

    def evaluate(self, work: Work, side_inputs: Sequence[Any]) -> Evaluated:
        """Process one bundle."""
        if self._running is None or self._have_changed(side_inputs):
            self.close()
            self._running = _RunningDoFn(self._step, self._dofn, side_inputs)
            self._side_inputs = side_inputs
        return self._running.process_bundle(work, self._keyed_states)

    def reset(self) -> None:
        """Throw the DoFn away: nobody knows what the exception has left in it."""
        self.close()

    def close(self) -> None:
        """Tear the DoFn down."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            running.teardown()
        except Exception as error:
            _LOGGER.warning("teardown of %s failed: %r", self._step.name, error)

    def _have_changed(self, side_inputs: Sequence[Any]) -> bool:
        """`SideInputs.of` makes new values only for a view that has grown."""
        return any(new is not old for new, old in zip(side_inputs, self._side_inputs, strict=True))


class _RunningDoFn:
    """A DoFn that is set up, with receivers that are emptied for every bundle."""

    def __init__(self, step: Step, dofn: Any, side_inputs: Sequence[Any]) -> None:
        self._applied = step.applied
        self._collectors = _Collectors(step.applied)
        self._state: DirectUserStateContext | None = None
        self._timer_specs: Mapping[str, Any] = {}
        self._key_coder: Any = None
        self._counters = counters.CounterFactory()
        dofn = pickler.roundtrip(dofn)
        if is_stateful(dofn):
            self._set_up_state(dofn)
        self._runner = DoFnRunner(
            dofn,
            getattr(step.transform, "args", []),
            getattr(step.transform, "kwargs", {}),
            side_inputs,
            step.applied.inputs[0].windowing,
            tagged_receivers=self._collectors,
            step_name=step.name,
            state=DoFnState(self._counters),
            user_state_context=self._state,
        )
        self._runner.setup()

    def process_bundle(self, work: Work, keyed_states: dict[Hashable, Any]) -> Evaluated:
        context = DirectStepContext(keyed_states)
        if self._state is not None:
            self._state.step_context = context
        self._collectors.empty()
        self._runner.start()
        for firing in work.timers:
            self._fire(firing, context)
        process = self._runner.process
        for element in work.elements:
            process(element)
        self._runner.finish()
        if self._state is not None:
            self._state.commit()
            self._state.reset()
        return Evaluated(self._collectors.outputs(), context.partial_keyed_state)

    def teardown(self) -> None:
        self._runner.teardown()

    def _set_up_state(self, dofn: Any) -> None:
        hint = self._applied.inputs[0].element_type
        known = hint is not None and hint != Any
        coder = coders.registry.get_coder(hint if known else Any)
        self._key_coder = coder.key_coder() if known else coder
        self._state = DirectUserStateContext(None, dofn, self._key_coder)
        _, timers = get_dofn_specs(dofn)
        self._timer_specs = {f"user/{timer.name}": timer for timer in timers}

    def _fire(self, firing: Any, context: DirectStepContext) -> None:
        context.get_keyed_state(firing.encoded_key).clear_timer(
            firing.window,
            firing.name,
            firing.time_domain,
            dynamic_timer_tag=firing.dynamic_timer_tag,
        )
        self._runner.process_user_timer(
            self._timer_specs[firing.name],
            self._key_coder.decode(firing.encoded_key),
            firing.window,
            firing.timestamp,
            None,
            firing.dynamic_timer_tag,
        )


class _Collector(common.Receiver):  # type: ignore[misc] # Beam has no types
    """Takes the elements of one output."""

    def __init__(self) -> None:
        self.elements: list[Any] = []

    def receive(self, element: Any) -> None:
        self.elements.append(element)


class _Discard(common.Receiver):  # type: ignore[misc] # Beam has no types
    """Takes the elements of outputs that nobody declared."""

    def receive(self, element: Any) -> None:
        pass


class _Collectors(dict[str | None, common.Receiver]):
    """The receivers of a DoFn by the tags of its outputs."""

    def __init__(self, applied: Any) -> None:
        super().__init__({tag: _Collector() for tag in applied.outputs})
        self._values = {tag: _output_value(applied, tag) for tag in applied.outputs}
        self._discard = _Discard()

    def __missing__(self, tag: str | None) -> common.Receiver:
        return self._discard

    def empty(self) -> None:
        for collector in self.values():
            collector.elements = []

    def outputs(self) -> list[Output]:
        return [
            Output(self._values[tag], collector.elements)
            for tag, collector in self.items()
            if collector.elements
        ]


def _output_value(applied: Any, tag: str | None) -> pvalue.PCollection:
    """The PCollection as others look it up: by its producer and its tag."""
    value = pvalue.PCollection(None, tag=tag)
    value.producer = applied
    return value
