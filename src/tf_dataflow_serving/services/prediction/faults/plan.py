"""What is to go wrong: a value without any state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tf_dataflow_serving.services.prediction.faults.latency import Latency
from tf_dataflow_serving.services.prediction.faults.numbers import (
    MAX_SECONDS,
    InvalidPlan,
    check_range,
    number,
    parts,
    shown,
    whole,
)

MAX_REQUESTS = 10**9
# Sums of what users write as decimals are a little off.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class SlowBody:
    """With this probability a response's body takes so many seconds."""

    probability: float
    seconds: float

    def __post_init__(self) -> None:
        check_range("slow_body", self.probability, 0, 1)
        check_range("slow_body", self.seconds, 0, MAX_SECONDS)

    def __str__(self) -> str:
        return f"{shown(self.probability)}:{shown(self.seconds)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text says, PROBABILITY:SECONDS; raises InvalidPlan."""
        values = parts("slow_body", text, "PROBABILITY:SECONDS")
        return cls(*(number("slow_body", value) for value in values))


@dataclass(frozen=True)
class Restart:
    """Once, with the request of this number, the service goes away for so many seconds."""

    after_requests: int
    seconds: float

    def __post_init__(self) -> None:
        check_range("restart", self.after_requests, 1, MAX_REQUESTS)
        check_range("restart", self.seconds, 0, MAX_SECONDS)

    def __str__(self) -> str:
        return f"{self.after_requests}:{shown(self.seconds)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text says, AFTER_REQUESTS:SECONDS; raises InvalidPlan."""
        requests, seconds = parts("restart", text, "AFTER_REQUESTS:SECONDS")
        return cls(whole("restart", requests), number("restart", seconds))


@dataclass(frozen=True)
class FaultPlan:
    """What online predictions suffer; by default nothing. Raises InvalidPlan.

    Probabilities are shares of all requests, and at most one of error, reset, truncated body
    and slow body happens to a request. `errors` are probabilities by HTTP status.
    `retry_after`, in seconds, goes with an error of status 429 or 503.
    """

    seed: int = 0
    requests_per_minute: int | None = None
    concurrent_requests: int | None = None
    latency: Latency | None = None
    errors: Mapping[int, float] = field(default_factory=dict)
    retry_after: int | None = None
    reset: float = 0.0
    truncate: float = 0.0
    slow_body: SlowBody | None = None
    restart: Restart | None = None

    def __post_init__(self) -> None:
        self._check_limits()
        self._check_errors()
        check_range("reset", self.reset, 0, 1)
        check_range("truncate", self.truncate, 0, 1)
        self._check_sum()

    def _check_limits(self) -> None:
        for name in ("requests_per_minute", "concurrent_requests"):
            limit = getattr(self, name)
            if limit is not None:
                check_range(name, limit, 1, MAX_REQUESTS)
        if self.retry_after is not None:
            check_range("retry_after", self.retry_after, 0, MAX_SECONDS)

    def _check_errors(self) -> None:
        for code, probability in self.errors.items():
            check_range("errors", code, 400, 599)
            check_range("errors", probability, 0, 1)

    def _check_sum(self) -> None:
        slow = self.slow_body.probability if self.slow_body else 0.0
        total = self.reset + sum(self.errors.values()) + self.truncate + slow
        if total > 1 + _ROUNDING:
            raise InvalidPlan(
                "errors, reset, truncate, slow_body",
                f"the sum of their probabilities is {total:g}, more than 1",
            )
