"""What can be tried: each kind of turn, how it starts, and what its failure means."""

import uuid
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from tf_dataflow_serving.runners.streaming.evaluation import Evaluator, StepResult, Work
from tf_dataflow_serving.runners.streaming.graph import Step
from tf_dataflow_serving.runners.streaming.holds import NONE, Deliveries
from tf_dataflow_serving.runners.streaming.ledger import END, Ledger
from tf_dataflow_serving.runners.streaming.reads import Batch
from tf_dataflow_serving.runners.streaming.turn import Parked, Turn, Turns

_PROCESS = uuid.uuid4().hex


class Attempt(Protocol):
    """A turn to try."""

    @property
    def name(self) -> str:
        """The same whenever it is tried again."""
        ...

    def work_out(self, turns: Turns) -> Turn:
        """Return what would happen. Raises StepFailed."""
        ...

    def commit(self, turn: Turn, ledger: Ledger) -> Deliveries:
        """Make it happen; returns the deliveries that can be acknowledged."""
        ...

    def parts(self) -> "Sequence[Attempt]":
        """Return smaller attempts that come to the same; none if it cannot be divided."""
        ...


@dataclass(frozen=True, eq=False)
class ReadAttempt:
    """Messages of a Pub/Sub read."""

    batch: Batch

    @property
    def name(self) -> str:
        """From the messages."""
        return self.batch.name

    @property
    def is_single(self) -> bool:
        """Whether it is one message."""
        return len(self.batch) == 1

    @property
    def delivery(self) -> str:
        """The name of the first message's delivery, whenever it comes again."""
        return self.batch.messages[0].delivery

    def work_out(self, turns: Turns) -> Turn:
        """Start with the messages as the read's output."""
        deliveries: Deliveries = frozenset([self.batch])
        step = self.batch.read.step
        read = turns.guarded(step, lambda: self.batch.read.evaluate(self.batch))
        return turns.after(StepResult(step, Work(deliveries=deliveries), read, deliveries))

    def commit(self, turn: Turn, ledger: Ledger) -> Deliveries:
        """Commit, and let the watermark pass."""
        self.batch.read.processed(self.batch)
        return ledger.commit(turn)

    def parts(self) -> Sequence[Attempt]:
        """Return the two halves of the messages."""
        if self.is_single:
            return ()
        return [ReadAttempt(half) for half in self.batch.halves()]


class _Stubborn:
    """An attempt that is all there is: it cannot be divided."""

    def parts(self) -> Sequence[Attempt]:
        """There are none."""
        return ()


@dataclass(frozen=True, eq=False)
class TimerAttempt:
    """Timers of some keys of a step that are due."""

    step: Step
    keys: Sequence[Hashable]
    ledger: Ledger

    @cached_property
    def name(self) -> str:
        """New for every firing."""
        return f"{_PROCESS}-{uuid.uuid4().hex}"

    def work_out(self, turns: Turns) -> Turn:
        """Start with those that are still due."""
        firings = self.ledger.firings(self.step, self.keys)
        return turns.of(self.step, Work(timers=firings)) if firings else Turn()

    def commit(self, turn: Turn, ledger: Ledger) -> Deliveries:
        """Commit."""
        return ledger.commit(turn)

    def parts(self) -> Sequence[Attempt]:
        """Return one attempt for each key."""
        if len(self.keys) == 1:
            return ()
        return [TimerAttempt(self.step, [key], self.ledger) for key in self.keys]


@dataclass(frozen=True, eq=False)
class ParkedAttempt(_Stubborn):
    """Elements whose side inputs have come."""

    parked: Parked
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def work_out(self, turns: Turns) -> Turn:
        """Start with the step that had to wait."""
        return turns.of(self.parked.step, self.parked.work)

    def commit(self, turn: Turn, ledger: Ledger) -> Deliveries:
        """Commit in place of the waiting elements."""
        ledger.release(self.parked)
        return ledger.commit(turn)


@dataclass(eq=False)
class RootAttempt(_Stubborn):
    """A step that reads from nothing in the pipeline, such as a Create or a TestStream.

    What it reads is kept: a source cannot be asked twice for the same.
    """

    step: Step
    bundle: Any
    evaluator: Evaluator
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _read: StepResult | None = None

    def work_out(self, turns: Turns) -> Turn:
        """Start with what the step reads."""
        if self._read is None:
            work = Work(elements=list(self.bundle.get_elements_iterable()))
            evaluated = turns.guarded(self.step, lambda: self.evaluator.evaluate(work, ()))
            holds = {None: END, **evaluated.watermark_holds}
            evaluated = replace(evaluated, watermark_holds=holds)
            self._read = StepResult(self.step, work, evaluated, NONE)
        return turns.after(self._read)

    def commit(self, turn: Turn, ledger: Ledger) -> Deliveries:
        """Commit, with what the step will read next."""
        ledger.remove_pending(self.step, self.bundle)
        for bundle in self.unprocessed():
            bundle.commit(None)
            ledger.add_pending(self.step, bundle)
        return ledger.commit(turn)

    def unprocessed(self) -> Sequence[Any]:
        """Return what the step will be given next."""
        return () if self._read is None else self._read.evaluated.unprocessed
