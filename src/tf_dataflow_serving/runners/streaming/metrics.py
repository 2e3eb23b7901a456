"""Counters and distributions of the steps, which count what is committed."""

from contextlib import AbstractContextManager
from typing import Any

from apache_beam.metrics.execution import MetricsContainer
from apache_beam.runners.worker import statesampler
from apache_beam.utils import counters

from tf_dataflow_serving.runners.streaming.graph import Graph, Step


class Metrics:
    """One container for each step, for Beam's state sampler keeps the first it is given.

    Beam's runner makes a new one for every bundle, and so counts the first bundle only
    (StateSampler.scoped_state).
    """

    def __init__(self, graph: Graph, context: Any) -> None:
        self._committed = context.metrics()
        self._sampler = statesampler.StateSampler("", counters.CounterFactory())
        self._containers = {step: MetricsContainer(step.name) for step in graph.steps}
        self._scopes = {
            step: self._sampler.scoped_state(step.name, "process", metrics_container=container)
            for step, container in self._containers.items()
        }

    def start(self) -> None:
        """Count what this thread does."""
        statesampler.set_current_tracker(self._sampler)

    def within(self, step: Step) -> AbstractContextManager[Any]:
        """Count for a step."""
        scope: AbstractContextManager[Any] = self._scopes[step]
        return scope

    def commit(self, step: Step) -> None:
        """Take over what was counted for a step."""
        container = self._containers[step]
        if container.metrics:
            updates = container.get_cumulative()
            self._committed.commit_logical(None, updates)
            self._committed.commit_physical(None, updates)
            container.reset()

    def discard(self) -> None:
        """Forget what was counted since the last commit."""
        for container in self._containers.values():
            container.reset()
