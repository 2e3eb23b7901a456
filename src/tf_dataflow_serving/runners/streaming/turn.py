"""A turn: what came in at once and everything downstream, worked out before any of it counts."""

import heapq
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tf_dataflow_serving.runners.streaming.evaluation import (
    Evaluated,
    Evaluator,
    StepResult,
    Work,
)
from tf_dataflow_serving.runners.streaming.graph import Graph, Step
from tf_dataflow_serving.runners.streaming.holds import NONE, Deliveries, Holds
from tf_dataflow_serving.runners.streaming.metrics import Metrics
from tf_dataflow_serving.runners.streaming.side_inputs import SideInputs


@dataclass(frozen=True, eq=False)
class Parked:
    """Elements that wait until their step's side inputs are there."""

    step: Step
    work: Work

    def get_elements_iterable(self) -> list[Any]:
        """What holds the step's watermark meanwhile (_TransformWatermarks.refresh)."""
        return self.work.elements


@dataclass
class Turn:
    """All that would happen; an exception on the way leaves everything as it was."""

    results: list[StepResult] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)

    def deliveries(self) -> Deliveries:
        """Return what any part of it was made of."""
        return NONE.union(
            *(result.made_of for result in self.results),
            *(parked.work.deliveries for parked in self.parked),
        )


class StepFailed(Exception):
    """A step raised an exception, which is the cause."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.name)
        self.step = step


class Turns:
    """Works out turns, one step after the other in the order of the graph."""

    def __init__(
        self,
        graph: Graph,
        evaluators: Mapping[Step, Evaluator],
        side_inputs: SideInputs,
        holds: Holds,
        metrics: Metrics,
    ) -> None:
        self._graph = graph
        self._evaluators = evaluators
        self._side_inputs = side_inputs
        self._holds = holds
        self._metrics = metrics

    def of(self, step: Step, work: Work) -> Turn:
        """Start with one step's work. Raises StepFailed."""
        return self._run(Turn(), {step: work})

    def after(self, root: StepResult) -> Turn:
        """Start with what a root step has made. Raises StepFailed."""
        turn = Turn([root])
        return self._run(turn, self._next({}, root))

    def guarded(self, step: Step, evaluate: Callable[[], Evaluated]) -> Evaluated:
        """Count for a step, and say which one it was that failed. Raises StepFailed."""
        try:
            with self._metrics.within(step):
                return evaluate()
        except Exception as error:
            self._metrics.discard()
            raise StepFailed(step) from error

    def _run(self, turn: Turn, work: dict[Step, Work]) -> Turn:
        queue = [(step.order, step) for step in work]
        heapq.heapify(queue)
        while queue:
            _, step = heapq.heappop(queue)
            before = set(work)
            result = self._evaluate(turn, step, work.pop(step))
            if result is not None:
                turn.results.append(result)
                self._next(work, result)
            for new in work.keys() - before:
                heapq.heappush(queue, (new.order, new))
        return turn

    def _next(self, work: dict[Step, Work], result: StepResult) -> dict[Step, Work]:
        """Add the work that a result is for other steps."""
        for output in result.evaluated.outputs:
            if output.elements:
                for consumer in self._graph.consumers(output.value):
                    work.setdefault(consumer, Work()).add(output.elements, result.made_of)
        return work

    def _evaluate(self, turn: Turn, step: Step, work: Work) -> StepResult | None:
        try:
            side_inputs = self._side_inputs.of(step, work)
        except Exception as error:
            raise StepFailed(step) from error
        if side_inputs is None:
            turn.parked.append(Parked(step, work))
            return None
        evaluator = self._evaluators[step]
        try:
            evaluated = self.guarded(step, lambda: evaluator.evaluate(work, side_inputs))
        except StepFailed:
            evaluator.reset()
            raise
        return StepResult(step, work, evaluated, self._made_of(step, work, evaluated))

    def _made_of(self, step: Step, work: Work, evaluated: Evaluated) -> Deliveries:
        keys: Sequence[Hashable] = tuple(evaluated.states)
        return work.deliveries.union(*(self._holds.of((step, key)) for key in keys))
