"""How each kind of step is carried out: as Beam does, but where that is slow or keeps too much."""

from collections.abc import Hashable, Sequence
from typing import Any

from apache_beam import pvalue
from apache_beam.io.gcp.bigquery import _StreamToBigQuery
from apache_beam.runners.direct.util import KeyedWorkItem
from apache_beam.transforms.window import GlobalWindows

from tf_dataflow_serving.runners.streaming.evaluation import Evaluated, Evaluator, Output, Work
from tf_dataflow_serving.runners.streaming.graph import Step
from tf_dataflow_serving.runners.streaming.insert_ids import AddInsertIds
from tf_dataflow_serving.runners.streaming.pardo import ParDo


def evaluator_of(step: Step, context: Any, registry: Any) -> Evaluator:
    """Return what carries out a step; `context` and `registry` are Beam's."""
    if step.is_flatten:
        return _Flatten(step)
    if step.is_reshuffle:
        return _Reshuffle(step, registry, context)
    if step.is_pardo:
        return ParDo(step, _dofn(step), context._transform_keyed_states[step.applied])
    return _Stock(step, registry, context)


def _dofn(step: Step) -> Any:
    dofn = step.transform.dofn
    return (
        AddInsertIds(step.order) if isinstance(dofn, _StreamToBigQuery.InsertIdPrefixFn) else dofn
    )


class _Stateless:
    """An evaluator with nothing to throw away or to end."""

    def reset(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


class _Flatten(_Stateless):
    def __init__(self, step: Step) -> None:
        self._output = _only_output(step)

    def evaluate(self, work: Work, _side_inputs: Sequence[Any]) -> Evaluated:
        return Evaluated([Output(self._output, work.elements)])


class _Stock(_Stateless):
    """Beam's own evaluator, made anew for every bundle as Beam does."""

    def __init__(self, step: Step, registry: Any, context: Any) -> None:
        self._step = step
        self._registry = registry
        self._context = context

    def evaluate(self, work: Work, side_inputs: Sequence[Any]) -> Evaluated:
        applied = self._step.applied
        bundle = self._context.create_empty_committed_bundle(_input_value(self._step))
        evaluator = self._registry.get_evaluator(applied, bundle, list(side_inputs))
        evaluator.start_bundle()
        for firing in work.timers:
            evaluator.process_timer_wrapper(firing)
        for element in work.elements:
            evaluator.process_element(element)
        result = evaluator.finish_bundle()
        return Evaluated(
            [_output(bundle) for bundle in result.uncommitted_output_bundles],
            result.partial_keyed_state,
            result.keyed_watermark_holds,
            result.unprocessed_bundles,
        )


class _Reshuffle(_Stateless):
    """Gives on every group as it is.

    A Reshuffle triggers on every element and discards what it has given (ReshufflePerKey.expand),
    but Beam's driver keeps a pane's number for every key, and the keys may be random.
    """

    def __init__(self, step: Step, registry: Any, context: Any) -> None:
        self._output = _only_output(step)
        bundle = context.create_empty_committed_bundle(_input_value(step))
        evaluator = registry.get_evaluator(step.applied, bundle, [])
        evaluator.start_bundle()
        self._key_coder = evaluator.key_coder

    def evaluate(self, work: Work, _side_inputs: Sequence[Any]) -> Evaluated:
        groups = [self._group(element.value) for element in work.elements]
        return Evaluated([Output(self._output, groups)])

    def _group(self, item: KeyedWorkItem) -> Any:
        key = self._key_coder.decode(item.encoded_key)
        earliest = min(element.timestamp for element in item.elements)
        values = [element.value for element in item.elements]
        return GlobalWindows.windowed_value((key, values), timestamp=earliest)


def _output(bundle: Any) -> Output:
    return Output(bundle.pcollection, bundle.get_elements_iterable(make_copy=True))


def _only_output(step: Step) -> Any:
    (value,) = step.applied.outputs.values()
    return value


def _input_value(step: Step) -> Any:
    inputs: Sequence[Hashable] = step.applied.inputs
    return inputs[0] if inputs else pvalue.PBegin(step.transform.pipeline)
