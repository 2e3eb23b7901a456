"""The life of a pipeline: one turn after another, until nothing can happen any more."""

import logging
import threading
import time

from tf_dataflow_serving.runners.streaming import insert_ids
from tf_dataflow_serving.runners.streaming.attempts import Attempt
from tf_dataflow_serving.runners.streaming.control import Control
from tf_dataflow_serving.runners.streaming.inputs import Inputs
from tf_dataflow_serving.runners.streaming.ledger import Ledger
from tf_dataflow_serving.runners.streaming.schedule import Schedule
from tf_dataflow_serving.runners.streaming.turn import StepFailed, Turns

_LOGGER = logging.getLogger(__name__)

# State may hold this many messages; with more, the read would run out of leases.
MAX_HELD = 9_000
# A moment that is over was not enough: a window waits, say, for what was given back.
LOOK_AGAIN_SECONDS = 0.05


class Stalled(Exception):
    """The pipeline is not done, and nothing is left that it could do."""


class Loop:
    """Works out turns and commits them."""

    def __init__(
        self, ledger: Ledger, turns: Turns, schedule: Schedule, inputs: Inputs, control: Control
    ) -> None:
        self._ledger = ledger
        self._turns = turns
        self._schedule = schedule
        self._inputs = inputs
        self._control = control
        self._has_warned = False

    def run(self) -> None:
        """Go on until the pipeline is done or cancelled. Raises what it fails with."""
        while not self._control.is_cancelled:
            if self._control.is_draining and self._inputs.are_open:
                self._inputs.stop()
                self._ledger.end_processing_time()
            self._inputs.advance_watermarks()
            attempt = self._schedule.next()
            if attempt is not None:
                self._try(attempt)
            elif self._is_done():
                return
            else:
                self._control.wait(self._patience())

    def _try(self, attempt: Attempt) -> None:
        try:
            with insert_ids.of_turn(attempt.name):
                turn = attempt.work_out(self._turns)
        except StepFailed as failed:
            self._schedule.failed(attempt, failed)
            return
        for delivery in attempt.commit(turn, self._ledger):
            delivery.acknowledge()
        self._schedule.succeeded(attempt)
        self._spare_leases()

    def _is_done(self) -> bool:
        """Whether the pipeline has come to its end. Raises Stalled if it never will."""
        if self._inputs.are_open or not self._schedule.is_idle():
            return False
        if self._ledger.is_done():
            return True
        if self._ledger.time_passes and self._ledger.next_processing_time() is not None:
            return False
        if self._control.is_draining:
            _LOGGER.warning("a trigger keeps elements that it will not give: they are given back")
            return True
        raise Stalled("no step has anything left to do, and the watermarks are not at their end")

    def _patience(self) -> float | None:
        """Return how many seconds nothing will happen unless there is news; None: for good."""
        moments = [] if (resume_at := self._schedule.resume_at()) is None else [resume_at]
        if self._ledger.time_passes:
            offset = time.monotonic() - self._ledger.now()
            moments += [when + offset for when in self._awaited()]
        if not moments:
            return None
        now = time.monotonic()
        soonest = min(when if when > now else now + LOOK_AGAIN_SECONDS for when in moments)
        return min(soonest - now, threading.TIMEOUT_MAX)

    def _awaited(self) -> list[float]:
        """The times of day at which a timer fires, or a window closes if nothing arrives."""
        processing_time = self._ledger.next_processing_time()
        event_time = self._ledger.next_event_time()
        moments = [] if processing_time is None else [processing_time]
        return moments if event_time is None else moments + self._inputs.passes(event_time)

    def _spare_leases(self) -> None:
        """Acknowledge what has been buffered longest rather than read nothing any more."""
        while self._ledger.holds.messages > MAX_HELD or self._inputs.are_starved:
            oldest = self._ledger.holds.oldest()
            if oldest is None:
                return
            self._ledger.holds.forget(oldest)
            oldest.acknowledge()
            self._warn_once()

    def _warn_once(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _LOGGER.warning(
                "state holds more messages than can be leased, about %s: the oldest are "
                "acknowledged before they are written, and are lost if this process ends now",
                f"{MAX_HELD:,}",
            )
