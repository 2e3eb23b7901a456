"""The steps of a pipeline, in an order in which each comes after what it reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam import pvalue
from apache_beam.runners.direct.direct_runner import (
    _DirectReadFromPubSub,
    _StreamingGroupAlsoByWindow,
)
from apache_beam.runners.direct.sdf_direct_runner import ProcessElements
from apache_beam.transforms import core
from apache_beam.transforms.trigger import AccumulationMode, Always
from apache_beam.transforms.userstate import (
    BagStateSpec,
    SetStateSpec,
    get_dofn_specs,
    is_stateful_dofn,
)
from apache_beam.transforms.window import GlobalWindows, TimestampCombiner

from tf_dataflow_serving.runners.streaming.holds import HoldRule


@dataclass(frozen=True, eq=False)
class Step:
    """One primitive transform of the pipeline as Beam applied it."""

    applied: Any
    order: int
    hold_rule: HoldRule

    @property
    def name(self) -> str:
        """Its full label, such as `Write/StreamInsertRows`."""
        return str(self.applied.full_label)

    @property
    def transform(self) -> Any:
        """The transform."""
        return self.applied.transform

    @property
    def side_inputs(self) -> Sequence[Any]:
        """What it reads beside its main input."""
        return tuple(self.applied.side_inputs)

    @property
    def is_pubsub_read(self) -> bool:
        """Whether it reads from Pub/Sub."""
        return isinstance(self.transform, _DirectReadFromPubSub)

    @property
    def is_pardo(self) -> bool:
        """Whether it calls a DoFn and does nothing else that is special."""
        return isinstance(self.transform, core.ParDo) and not self.is_grouping

    @property
    def is_flatten(self) -> bool:
        """Whether it only puts its inputs together."""
        return isinstance(self.transform, core.Flatten)

    @property
    def is_grouping(self) -> bool:
        """Whether it groups by windows and triggers."""
        return isinstance(self.transform, _StreamingGroupAlsoByWindow)

    @property
    def is_reshuffle(self) -> bool:
        """Whether it is the grouping within a Reshuffle, which keeps nothing.

        Its composite has no type any more once Beam has taken the pipeline through its proto; its
        windowing is that of ReshufflePerKey.expand.
        """
        if not self.is_grouping:
            return False
        windowing = self.transform.windowing
        return bool(
            windowing.windowfn == GlobalWindows()
            and windowing.triggerfn == Always()
            and windowing.accumulation_mode == AccumulationMode.DISCARDING
            and windowing.timestamp_combiner == TimestampCombiner.OUTPUT_AT_EARLIEST
        )


@dataclass(frozen=True)
class Graph:
    """All steps, and who reads what."""

    steps: Sequence[Step]
    _consumers: Mapping[Any, Sequence[Step]]

    @classmethod
    def of(
        cls, value_to_consumers: Mapping[Any, Iterable[Any]], step_names: Iterable[Any]
    ) -> "Graph":
        """Take over what Beam's ConsumerTrackingPipelineVisitor found.

        It visits a step after the producers of its inputs, side inputs included
        (AppliedPTransform.visit).
        """
        steps = {
            applied: Step(applied, order, _hold_rule(applied.transform))
            for order, applied in enumerate(step_names)
        }
        consumers = {
            value: sorted((steps[one] for one in ones), key=lambda step: step.order)
            for value, ones in value_to_consumers.items()
        }
        return cls(tuple(steps.values()), consumers)

    def consumers(self, value: Any) -> Sequence[Step]:
        """Return the steps that read a PCollection."""
        return self._consumers.get(value, ())

    def roots(self) -> Sequence[Step]:
        """Return the steps that read from nothing in the pipeline."""
        return [
            step
            for step in self.steps
            if all(isinstance(value, pvalue.PBegin) for value in step.applied.inputs)
        ]


def _hold_rule(transform: Any) -> HoldRule:
    if isinstance(transform, ProcessElements):
        return HoldRule(buffers=frozenset({"element"}), timers_hold=True)
    dofn = getattr(transform, "dofn", None)
    if isinstance(transform, _StreamingGroupAlsoByWindow) or not is_stateful(dofn):
        return HoldRule(buffers=frozenset({"elements"}), timers_hold=False)
    states, _ = get_dofn_specs(dofn)
    collecting = (BagStateSpec, SetStateSpec)
    return HoldRule(
        buffers=frozenset(f"user/{one.name}" for one in states if isinstance(one, collecting)),
        timers_hold=True,
    )


def is_stateful(dofn: Any) -> bool:
    """Whether a DoFn has state or timers."""
    return isinstance(dofn, core.DoFn) and bool(is_stateful_dofn(dofn))
