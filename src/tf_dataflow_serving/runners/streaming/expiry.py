"""Forgets windows that are over, which Beam's trigger driver remembers for good."""

from collections.abc import Hashable
from typing import Any

from apache_beam.transforms.trigger import AccumulationMode, AfterWatermark, DefaultTrigger
from apache_beam.utils.timestamp import Timestamp

from tf_dataflow_serving.runners.streaming.timers import Deadlines

_WINDOW_IDS = "window_ids"
_ELEMENTS = "elements"


class Expiry:
    """The windows of one grouping, by the end of the time for which late elements are taken.

    What comes later is ignored (GeneralTriggerDriver.process_elements), so nothing about the
    window is asked for again.
    """

    def __init__(self, windowing: Any) -> None:
        self._lateness = windowing.allowed_lateness
        self._gives_all = _gives_all(windowing)
        self._deadlines = Deadlines()

    def update(self, key: Hashable, state: Any) -> None:
        """Take over the windows of a key's state."""
        ends = (self._end(window) for window in _ids_by_window(state))
        self._deadlines.set(key, min(ends, default=None))

    def due(self, watermark: Timestamp) -> list[Hashable]:
        """Return the keys with a window that may be over."""
        first = self._deadlines.earliest()
        return self._deadlines.due(watermark) if first is not None and first < watermark else []

    def expire(self, key: Hashable, state: Any, watermark: Timestamp) -> list[Hashable]:
        """Remove the windows that are over from a key's state, and return their ids."""
        windows = _ids_by_window(state)
        over = [window for window in windows if self._end(window) < watermark]
        gone = []
        for window in over:
            if not any(self._waits(state, one) for one in windows[window]):
                gone += windows.pop(window)
        for one in gone:
            state.state.pop(one, None)
        if not windows:
            state.global_state.pop(_WINDOW_IDS, None)
        self.update(key, state)
        return gone

    def _waits(self, state: Any, window_id: Hashable) -> bool:
        """Whether something is still to be given, or was never: the driver has no last pane."""
        elements = state.state.get(window_id, {}).get(_ELEMENTS)
        return bool(state.timers.get(window_id) or (elements and not self._gives_all))

    def _end(self, window: Any) -> Timestamp:
        end: Timestamp = window.end + self._lateness
        return end


def _gives_all(windowing: Any) -> bool:
    """Whether elements that are still there at the end have been given, and are only kept."""
    accumulates = windowing.accumulation_mode == AccumulationMode.ACCUMULATING
    return accumulates and isinstance(windowing.triggerfn, AfterWatermark | DefaultTrigger)


def _ids_by_window(state: Any) -> dict[Any, list[Hashable]]:
    """The ids under which MergeableStateAdapter keeps each window's state."""
    ids: dict[Any, list[Hashable]] = state.global_state.get(_WINDOW_IDS, {})
    return ids
