"""What to try next, and what to do with what failed."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tf_dataflow_serving.runners.streaming.attempts import (
    Attempt,
    ParkedAttempt,
    ReadAttempt,
    RootAttempt,
    TimerAttempt,
)
from tf_dataflow_serving.runners.streaming.failures import Failures
from tf_dataflow_serving.runners.streaming.inputs import Inputs
from tf_dataflow_serving.runners.streaming.ledger import Ledger
from tf_dataflow_serving.runners.streaming.reads import Batch
from tf_dataflow_serving.runners.streaming.suspects import Suspects
from tf_dataflow_serving.runners.streaming.turn import StepFailed

# As in Beam's TransformExecutor; while messages may come there is no limit, as on Dataflow.
MAX_ATTEMPTS = 4
# Of a bundle: once may be chance.
DIVIDE_AFTER = 2
# More failures with no success between them than it takes to find one message in a bundle: it is
# not the messages.
OUTAGE_FAILURES = 13
FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 2.0


@dataclass(eq=False)
class _Retry:
    attempt: Attempt
    failures: int
    not_before: float


class Schedule:
    """The attempts of a pipeline: failed ones first, then timers, then new input."""

    def __init__(
        self, ledger: Ledger, inputs: Inputs, roots: Sequence[RootAttempt], failures: Failures
    ) -> None:
        self._ledger = ledger
        self._inputs = inputs
        self._roots = deque(roots)
        self._reported = failures
        self._retries: list[_Retry] = []
        self._failures: dict[Attempt, int] = {}
        self._suspects = Suspects()
        self._in_a_row = 0
        self._resume_at = 0.0

    def next(self) -> Attempt | None:
        """Return what to try now."""
        if time.monotonic() < self._resume_at:
            return None
        if self._is_outage():
            # What fails again and again must not keep others from showing that it is not over.
            return self._input() or self._retry() or self._timers() or self._parked()
        return self._retry() or self._timers() or self._parked() or self._input()

    def resume_at(self) -> float | None:
        """Return the moment, of time.monotonic, from which a failed attempt can go on."""
        moments = [retry.not_before for retry in self._retries]
        if not moments:
            return self._resume_at if self._resume_at > time.monotonic() else None
        return max(min(moments), self._resume_at)

    def is_idle(self) -> bool:
        """Whether nothing waits to be tried, or to be tried again."""
        return not (self._retries or self._roots)

    def succeeded(self, attempt: Attempt) -> None:
        """Note that an attempt was committed."""
        self._in_a_row = 0
        self._failures.pop(attempt, None)
        if isinstance(attempt, RootAttempt):
            self._go_on(attempt)
        if isinstance(attempt, ReadAttempt) and attempt.is_single:
            self._suspects.clear(attempt.delivery)

    def failed(self, attempt: Attempt, failed: StepFailed) -> None:
        """Plan to try again, in parts if that may help. Raises the step's error at the limit."""
        self._reported.report(failed)
        failures = self._failures.pop(attempt, 0) + 1
        if isinstance(attempt, ReadAttempt) and self._is_suspect(attempt):
            self._give_back(attempt)
            return
        self._pause()
        if isinstance(attempt, ReadAttempt) and self._is_to_go(attempt, failures):
            self._give_back(attempt)
        elif failures >= DIVIDE_AFTER and (parts := attempt.parts()):
            self._retry_later(parts, failures - 1, 0.0)
        elif failures >= MAX_ATTEMPTS and not self._inputs.are_open:
            raise failed.__cause__ or failed
        else:
            self._retry_later([attempt], failures, _delay(failures - 1))

    def _retry_later(self, attempts: Sequence[Attempt], failures: int, seconds: float) -> None:
        """The last to come is the first to be tried: one part is finished before the next."""
        not_before = time.monotonic() + seconds
        self._retries += [_Retry(one, failures, not_before) for one in reversed(attempts)]

    def _pause(self) -> None:
        """Leave a pipeline alone in which nothing succeeds."""
        self._in_a_row += 1
        self._resume_at = time.monotonic() + _delay(self._in_a_row - OUTAGE_FAILURES)

    def _is_outage(self) -> bool:
        return self._in_a_row > OUTAGE_FAILURES

    def _is_suspect(self, attempt: ReadAttempt) -> bool:
        return attempt.is_single and attempt.delivery in self._suspects

    def _is_to_go(self, attempt: ReadAttempt, failures: int) -> bool:
        """Whether to give up on messages: on one at fault, or on all if the pipeline is to end."""
        if self._is_outage() and not self._inputs.are_open:
            return True
        return attempt.is_single and failures >= DIVIDE_AFTER

    def _give_back(self, attempt: ReadAttempt) -> None:
        after = self._suspects.add(attempt.delivery) if attempt.is_single else 0.0
        attempt.batch.read.give_back(attempt.batch, after)

    def _retry(self) -> Attempt | None:
        now = time.monotonic()
        for retry in reversed(self._retries):
            if retry.not_before <= now:
                self._retries.remove(retry)
                self._failures[retry.attempt] = retry.failures
                return retry.attempt
        return None

    def _timers(self) -> Attempt | None:
        waiting = {
            (one.attempt.step, key)
            for one in self._retries
            if isinstance(one.attempt, TimerAttempt)
            for key in one.attempt.keys
        }
        for step in self._ledger.graph.steps:
            keys = [key for key in self._ledger.due_timers(step) if (step, key) not in waiting]
            if keys:
                return TimerAttempt(step, keys, self._ledger)
        return None

    def _parked(self) -> Attempt | None:
        retried = {
            one.attempt.parked for one in self._retries if isinstance(one.attempt, ParkedAttempt)
        }
        ready = (parked for parked in self._ledger.ready() if parked not in retried)
        return next(map(ParkedAttempt, ready), None)

    def _input(self) -> Attempt | None:
        if self._roots:
            return self._roots.popleft()
        batch = self._inputs.take()
        if batch is None or not self._suspects:
            return None if batch is None else ReadAttempt(batch)
        self._retry_later([ReadAttempt(part) for part in self._apart(batch)], 0, 0.0)
        return self._retry()

    def _apart(self, batch: Batch) -> Sequence[Batch]:
        """Keep messages that failed by themselves from the others."""
        others = [one for one in batch.messages if one.delivery not in self._suspects]
        alone = [[one] for one in batch.messages if one.delivery in self._suspects]
        if not alone:
            return [batch]
        return batch.read.replace(batch, [others, *alone] if others else alone)

    def _go_on(self, root: RootAttempt) -> None:
        for bundle in root.unprocessed():
            self._roots.append(RootAttempt(root.step, bundle, root.evaluator))


def _delay(failures: int) -> float:
    """Return how many seconds to wait after so many failures: none at first, then ever longer."""
    if failures <= 0:
        return 0.0
    return min(FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 16), MAX_DELAY_SECONDS)
