"""What happens to each request: by the plan's seed and the request's number, and nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan


@dataclass(frozen=True)
class Refusal:
    """An error in place of the answer; `retry_after` is in seconds."""

    code: int
    message: str
    retry_after: int | None = None


@dataclass(frozen=True)
class Fate:
    """What a request suffers, in this order; by default nothing.

    `away_seconds` takes the whole service away, and the request with it.
    """

    away_seconds: float | None = None
    reset: bool = False
    delay_seconds: float = 0.0
    refusal: Refusal | None = None
    truncated: bool = False
    drip_seconds: float = 0.0


UNHARMED = Fate()
# The statuses that RFC 9110 and RFC 6585 give a Retry-After.
_RETRIED = frozenset({429, 503})


class Fates:
    """The fates of one request after the other.

    As many numbers are drawn for every request, so that none depends on those before it.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._random = Random(plan.seed)  # noqa: S311 - it has to come out the same again
        self._outcomes: Sequence[tuple[float, Fate]] = list(_outcomes(plan))
        self._requests = 0

    def next(self) -> Fate:
        """Return what is to happen to the next request."""
        self._requests += 1
        chance, quantile = self._random.random(), self._random.random()
        if self._plan.restart and self._plan.restart.after_requests == self._requests:
            return Fate(away_seconds=self._plan.restart.seconds)
        return self._delayed(self._outcome(chance), quantile)

    def _outcome(self, chance: float) -> Fate:
        for below, fate in self._outcomes:
            if chance < below:
                return fate
        return UNHARMED

    def _delayed(self, fate: Fate, quantile: float) -> Fate:
        if self._plan.latency is None or fate.reset:
            return fate
        return replace(fate, delay_seconds=self._plan.latency.seconds(quantile))


def _outcomes(plan: FaultPlan) -> Iterator[tuple[float, Fate]]:
    """Yield what excludes one another, each with the sum of probabilities up to it."""
    total = 0.0
    for probability, fate in _alternatives(plan):
        total += probability
        yield total, fate


def _alternatives(plan: FaultPlan) -> Iterator[tuple[float, Fate]]:
    yield plan.reset, Fate(reset=True)
    for code, probability in sorted(plan.errors.items()):
        retry_after = plan.retry_after if code in _RETRIED else None
        yield probability, Fate(refusal=Refusal(code, "Injected fault.", retry_after))
    yield plan.truncate, Fate(truncated=True)
    if plan.slow_body is not None:
        yield plan.slow_body.probability, Fate(drip_seconds=plan.slow_body.seconds)
