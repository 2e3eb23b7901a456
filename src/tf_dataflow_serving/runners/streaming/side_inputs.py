"""Side inputs, and the steps that wait for them."""

from collections.abc import Sequence
from typing import Any

from apache_beam.transforms import sideinputs
from apache_beam.utils.timestamp import Timestamp

from tf_dataflow_serving.runners.streaming.evaluation import Work
from tf_dataflow_serving.runners.streaming.graph import Step


class SideInputs:
    """The views of a pipeline, as Beam's evaluation context collects them."""

    def __init__(self, context: Any) -> None:
        self._container = context._side_inputs_container
        self._values: dict[Any, Any] = {}

    def of(self, step: Step, work: Work) -> Sequence[Any] | None:
        """Return the values that a step needs for these elements; None: not yet."""
        if not step.side_inputs:
            return ()
        window = _latest_window(work)
        if not all(self._is_ready(side_input, window) for side_input in step.side_inputs):
            return None
        return tuple(self._value(side_input) for side_input in step.side_inputs)

    def awaited(self, step: Step, work: Work) -> Timestamp:
        """Return the watermark at which all the values are there."""
        window = _latest_window(work)
        return max(_needed(side_input, window) for side_input in step.side_inputs)

    def _is_ready(self, side_input: Any, window: Any) -> bool:
        watermark = self._container._views[side_input].watermark
        return watermark is not None and watermark.output_watermark >= _needed(side_input, window)

    def _value(self, side_input: Any) -> Any:
        """The same object for as long as nothing was added."""
        elements = self._container._views[side_input].elements
        value = self._values.get(side_input)
        if value is None or len(value._iterable) != len(elements):
            value = self._container._pvalue_to_value(side_input, list(elements))
            self._values[side_input] = value
        return value


def _needed(side_input: Any, window: Any) -> Any:
    mapping = side_input._view_options().get(
        "window_mapping_fn", sideinputs._global_window_mapping_fn
    )
    return mapping(window).end


def _latest_window(work: Work) -> Any:
    """The one that ends last, as Beam's TransformExecutor has it, of elements and of timers."""
    windows = {element.windows[0] for element in work.elements}
    windows |= {firing.window for firing in work.timers}
    return max(windows, key=lambda window: window.end, default=None)
