"""Retries with full-jittered exponential backoff (Brooker, "Exponential Backoff And Jitter")."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tf_dataflow_serving.inference.errors import PredictionUnavailable

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


class Transient(Exception):
    """A failure that may pass; `retry_after` is the wait that the server asks for, in seconds."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Retrier:
    """Calls again what fails for a while; `clock` and `sleep` are in seconds."""

    policy: RetryPolicy = RetryPolicy()
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = field(default=random.uniform)

    def call(self, function: Callable[[], Result]) -> Result:
        """Return the function's result, however often it raises Transient before.

        Raises PredictionUnavailable once the next wait would pass the deadline; whatever else
        the function raises is passed on at once.
        """
        begin = self.clock()
        attempt = 0
        while True:
            try:
                return function()
            except Transient as failure:
                wait = self._wait(attempt, failure)
                if self.clock() + wait - begin > self.policy.deadline:
                    raise PredictionUnavailable(
                        f"no answer within {self.policy.deadline:g} s, in {attempt + 1} tries:"
                        f" {failure}"
                    ) from failure
            self.sleep(wait)
            attempt += 1

    def _wait(self, attempt: int, failure: Transient) -> float:
        return max(self.uniform(0, self.policy.ceiling(attempt)), failure.retry_after)
