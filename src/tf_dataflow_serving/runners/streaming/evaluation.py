"""What a step is given in one turn, and what it makes of it; nothing here changes the pipeline."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tf_dataflow_serving.runners.streaming.graph import Step
from tf_dataflow_serving.runners.streaming.holds import NONE, Deliveries


@dataclass
class Work:
    """Elements (WindowedValues) and fired timers for one step, with what they were made of."""

    elements: list[Any] = field(default_factory=list)
    timers: Sequence[Any] = ()
    deliveries: Deliveries = NONE

    def add(self, elements: list[Any], deliveries: Deliveries) -> None:
        """Add the output of another step, without a copy where there is but one."""
        self.elements = self.elements + elements if self.elements else elements
        self.deliveries |= deliveries


@dataclass(frozen=True)
class Output:
    """New elements of one PCollection."""

    value: Any
    elements: list[Any]


@dataclass(frozen=True)
class Evaluated:
    """What came out of a step, and the state that it would have after that."""

    outputs: Sequence[Output]
    states: Mapping[Hashable, Any] = field(default_factory=dict)
    watermark_holds: Mapping[Hashable, Any] = field(default_factory=dict)
    unprocessed: Sequence[Any] = ()


class Evaluator(Protocol):
    """Carries out one step."""

    def evaluate(self, work: Work, side_inputs: Sequence[Any]) -> Evaluated:
        """Return what comes out; raises what the step raises."""
        ...

    def reset(self) -> None:
        """Start afresh after an exception."""
        ...

    def close(self) -> None:
        """End the step for good."""
        ...


@dataclass(frozen=True)
class StepResult:
    """What a step made in one turn. `made_of` includes what its state held before."""

    step: Step
    work: Work
    evaluated: Evaluated
    made_of: Deliveries

    @property
    def has_output(self) -> bool:
        """Whether it gave anything to other steps."""
        return any(output.elements for output in self.evaluated.outputs)
