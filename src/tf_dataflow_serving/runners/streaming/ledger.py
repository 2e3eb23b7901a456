"""What has happened for good: states, timers, watermarks, side inputs and what they hold."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from apache_beam.runners.direct.clock import RealClock
from apache_beam.runners.direct.util import TimerFiring
from apache_beam.runners.direct.watermark_manager import WatermarkManager
from apache_beam.utils.timestamp import TIME_GRANULARITY, Timestamp

from tf_dataflow_serving.runners.streaming.evaluation import StepResult
from tf_dataflow_serving.runners.streaming.expiry import Expiry
from tf_dataflow_serving.runners.streaming.graph import Graph, Step
from tf_dataflow_serving.runners.streaming.holds import NONE, Change, Deliveries, Holds
from tf_dataflow_serving.runners.streaming.metrics import Metrics
from tf_dataflow_serving.runners.streaming.side_inputs import SideInputs
from tf_dataflow_serving.runners.streaming.timers import Timers
from tf_dataflow_serving.runners.streaming.turn import Parked, Turn

END = WatermarkManager.WATERMARK_POS_INF
# Beside the keys of a step, which are bytes or None.
_TIMERS = object()


class Ledger:
    """Takes over turns into Beam's evaluation context."""

    def __init__(self, graph: Graph, context: Any, metrics: Metrics) -> None:
        self.graph = graph
        self.side_inputs = SideInputs(context)
        self.holds = Holds()
        self.parked: list[Parked] = []
        self._context = context
        self._clock = context._watermark_manager._clock
        self._has_ended = False
        self._metrics = metrics
        self._watermarks = {
            step: context._watermark_manager.get_watermarks(step.applied) for step in graph.steps
        }
        self._states = {step: context._transform_keyed_states[step.applied] for step in graph.steps}
        self._timers = {step: Timers() for step in graph.steps}
        self._expiries = {
            step: Expiry(step.transform.windowing) for step in graph.steps if step.is_grouping
        }

    def commit(self, turn: Turn) -> Deliveries:
        """Make a turn count; returns those of its deliveries that nothing holds any more."""
        for result in turn.results:
            self._commit_states(result)
            self._commit_side_inputs(result)
            self._watermarks[result.step].hold(result.evaluated.watermark_holds)
            self._metrics.commit(result.step)
        for parked in turn.parked:
            self._park(parked)
        self.refresh()
        touched = turn.deliveries().union(*map(self._expire, self._expiries))
        return frozenset(one for one in touched if not self.holds.is_held(one))

    def refresh(self) -> None:
        """Let the watermarks advance through the graph."""
        views = self._context._side_inputs_container
        for step, watermarks in self._watermarks.items():
            if watermarks.refresh():
                views.update_watermarks_for_transform_and_unblock_tasks(step.applied, watermarks)

    def hold_watermark(self, step: Step, until: Timestamp) -> None:
        """Keep a root's watermark at a moment; END lets it go."""
        self._watermarks[step].hold({None: until})

    def add_pending(self, step: Step, bundle: Any) -> None:
        """Hold a step's watermark for the elements of a bundle."""
        self._watermarks[step].add_pending(bundle)

    def remove_pending(self, step: Step, bundle: Any) -> None:
        """Let it go."""
        self._watermarks[step].remove_pending(bundle)

    def due_timers(self, step: Step) -> list[Hashable]:
        """Return the keys of which a timer is due."""
        watermark = self._watermarks[step].input_watermark
        return self._timers[step].due(watermark, self._time_at(step))

    def firings(self, step: Step, keys: Sequence[Hashable]) -> list[TimerFiring]:
        """Return the timers of these keys that are due, in their order."""
        watermark, now = self._watermarks[step].input_watermark, self._time_at(step)
        found = []
        for key in keys:
            state = self._states[step].get(key)
            if state is None:
                continue
            timers, _ = state.get_timers(watermark=watermark, processing_time=now)
            found += [_firing(key, timer) for timer in timers]
        return sorted(found, key=lambda firing: firing.timestamp)

    def ready(self) -> list[Parked]:
        """Return the elements that waited for side inputs which are there now."""
        return [
            parked
            for parked in self.parked
            if self.side_inputs.of(parked.step, parked.work) is not None
        ]

    def release(self, parked: Parked) -> None:
        """Forget elements that a turn has taken over."""
        self.parked.remove(parked)
        self.remove_pending(parked.step, parked)
        self.holds.hold(parked, None, frozenset())

    @property
    def time_passes(self) -> bool:
        """Whether the clock goes by itself: a TestStream moves it by hand."""
        return isinstance(self._clock, RealClock)

    def end_processing_time(self) -> None:
        """Let the triggers that wait for a time of day wait no longer."""
        self._has_ended = True

    def now(self) -> float:
        """Return the time of day, in seconds since the epoch."""
        now: float = self._clock.time()
        return now

    def _time_at(self, step: Step) -> Timestamp:
        return END if self._has_ended and step.is_grouping else Timestamp.of(self.now())

    def is_done(self) -> bool:
        """Whether no step will make anything any more."""
        return all(one.output_watermark == END for one in self._watermarks.values())

    def next_processing_time(self) -> float | None:
        """Return when the next timer of processing time fires, in seconds since the epoch."""
        timers = (
            self._timers[step].next_processing_time()
            for step in self.graph.steps
            if self._watermarks[step].output_watermark < END
        )
        return min((float(when) for when in timers if when is not None), default=None)

    def next_event_time(self) -> Timestamp | None:
        """Return the least watermark at which something fires or can go on."""
        return min(self._awaited(), default=None)

    def _awaited(self) -> Iterator[Timestamp]:
        for timers in self._timers.values():
            when = timers.next_event_time()
            if when is not None:
                yield when
        for parked in self.parked:
            yield self.side_inputs.awaited(parked.step, parked.work)

    def _commit_states(self, result: StepResult) -> None:
        states = self._states[result.step]
        for key, state in result.evaluated.states.items():
            place = (result.step, key)
            change = Change(states.get(key), state, result.work.deliveries, result.has_output)
            self.holds.update(place, result.step.hold_rule, change)
            self._timers[result.step].update(key, state)
            if result.step in self._expiries:
                self._expiries[result.step].update(key, state)
            _keep(states, key, state)
        if result.evaluated.states:
            self._hold_for_timers(result.step)

    def _expire(self, step: Step) -> Deliveries:
        """Forget the windows of a grouping that are over; returns what they held."""
        watermark, states = self._watermarks[step].input_watermark, self._states[step]
        let_go = NONE
        for key in self._expiries[step].due(watermark):
            let_go |= self.holds.of((step, key))
            for window in self._expiries[step].expire(key, states[key], watermark):
                self.holds.hold((step, key), window, NONE)
            self._watermarks[step].hold({key: states[key].get_earliest_hold()})
            _keep(states, key, states[key])
        return let_go

    def _hold_for_timers(self, step: Step) -> None:
        """A timer's outputs have its time: downstream, the watermark waits until it has fired."""
        first = self._timers[step].next_event_time()
        self._watermarks[step].hold({_TIMERS: END if first is None else first - TIME_GRANULARITY})

    def _commit_side_inputs(self, result: StepResult) -> None:
        for output in result.evaluated.outputs:
            for view in self._context._pcollection_to_views.get(output.value, ()):
                self._context._side_inputs_container.add_values(view, output.elements)

    def _park(self, parked: Parked) -> None:
        self.parked.append(parked)
        self.holds.hold(parked, None, parked.work.deliveries)
        self.add_pending(parked.step, parked)


def _firing(key: Hashable, timer: tuple[Any, tuple[str, str, Timestamp, str]]) -> TimerFiring:
    window, (name, domain, when, tag) = timer
    return TimerFiring(key, window, name, domain, when, dynamic_timer_tag=tag)


def _keep(states: dict[Hashable, Any], key: Hashable, state: Any) -> None:
    if _is_empty(state):
        states.pop(key, None)
    else:
        states[key] = state


def _is_empty(state: Any) -> bool:
    """Whether forgetting it makes no difference: Beam's runner keeps every key for good."""
    return not (
        state.global_state
        or any(state.timers.values())
        or any(value != [] for tags in state.state.values() for value in tags.values())
    )
