"""Retries with full-jittered exponential backoff (Brooker, "Exponential Backoff And Jitter")."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tf_dataflow_serving.inference.errors import PredictionRejected, PredictionUnavailable
from tf_dataflow_serving.inference.failures import Throttled, Transient
from tf_dataflow_serving.inference.throttling import Gate

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """How long to go on, in seconds: the first wait is up to `initial`, none above `maximum`.

    No retry begins later than `deadline` after the first try. A server that asks for a longer
    wait (Retry-After) gets it.
    """

    initial: float = 0.02
    maximum: float = 5.0
    deadline: float = 120.0

    def __post_init__(self) -> None:
        if not (0 < self.initial <= self.maximum and self.deadline >= 0):
            raise ValueError(f"not a retry policy: {self}")

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait after that many failures, the first being 0."""
        # 2.0**1024 would overflow; by then the maximum was reached long ago.
        return min(self.maximum, self.initial * 2.0 ** min(attempt, 64))


@dataclass
class Patience:
    """What one caller bears, in seconds by the retrier's clock.

    The deadline counts from `since`: when it began, or had its latest answer, be it a refusal.
    `throttled` is how long it has waited because the service is to be asked for less.
    """

    since: float
    throttled: float = 0.0


@dataclass(frozen=True)
class Retrier:
    """Calls again what fails for a while, each time through the gate; all in seconds."""

    policy: RetryPolicy
    gate: Gate
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = field(default=random.uniform)

    def patience(self) -> Patience:
        """Return that of a caller that begins now; its calls come one after the other."""
        return Patience(self.clock())

    def call(
        self,
        function: Callable[[], Result],
        patience: Patience | None = None,
        final: tuple[type[Transient], ...] = (),
    ) -> Result:
        """Return the function's result, however often it raises Transient before.

        Raises PredictionUnavailable once the next wait would pass the deadline; whatever else
        the function raises, and what is `final`, is passed on at once.
        """
        patience = patience or self.patience()
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._attempt(function, patience)
            except final as failure:
                self._require_time(patience, 0.0, attempt, failure)
                raise
            except Transient as failure:
                self._pause(patience, attempt, failure)

    def _attempt(self, function: Callable[[], Result], patience: Patience) -> Result:
        with self.gate.turn(patience.since + self.policy.deadline) as waited:
            patience.throttled += waited
            try:
                result = function()
            except PredictionRejected:
                patience.since = self.clock()
                raise
        patience.since = self.clock()
        return result

    def _pause(self, patience: Patience, attempt: int, failure: Transient) -> None:
        wait = max(self.uniform(0, self.policy.ceiling(attempt - 1)), failure.retry_after)
        self._require_time(patience, wait, attempt, failure)
        if isinstance(failure, Throttled):
            patience.throttled += wait
        self.sleep(wait)

    def _require_time(
        self, patience: Patience, wait: float, attempt: int, failure: Transient
    ) -> None:
        if self.clock() + wait - patience.since > self.policy.deadline:
            raise PredictionUnavailable(
                f"no answer within {self.policy.deadline:g} s, in {attempt} tries: {failure}"
            ) from failure
