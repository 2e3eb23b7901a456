"""The plan in force: decides about each request, and counts what it did."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tf_dataflow_serving.services.prediction.faults.fates import Fate, Fates, Refusal
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan
from tf_dataflow_serving.services.prediction.faults.quota import Clock, RequestQuota

_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class FaultCounts:
    """What happened since the plan came into force.

    `requests` counts online predictions, whatever became of them; `over_quota` and
    `over_concurrency` those that the limits refused. `errors` are injected ones, by status.
    """

    requests: int = 0
    over_quota: int = 0
    over_concurrency: int = 0
    resets: int = 0
    errors: Mapping[int, int] = field(default_factory=dict)
    truncated: int = 0
    slow: int = 0
    restarts: int = 0


class Injection:
    """One plan from the moment it comes into force; threads may not share it."""

    def __init__(self, plan: FaultPlan, clock: Clock) -> None:
        self.plan = plan
        self._fates = Fates(plan)
        self._quota = _quota(plan, clock)
        self._in_flight = 0
        self._struck: Counter[str] = Counter()
        self._errors: Counter[int] = Counter()

    def counts(self) -> FaultCounts:
        """Return what happened so far."""
        return FaultCounts(**self._struck, errors=dict(sorted(self._errors.items())))

    @contextmanager
    def request(self) -> Iterator[Fate]:
        """Give what happens to a request that has come and goes on leaving."""
        self._struck["requests"] += 1
        fate = self._fates.next()
        refusal = None if fate.away_seconds is not None else self._over_limit()
        if refusal is not None:
            yield Fate(refusal=refusal)
            return
        self._count(fate)
        self._in_flight += 1
        try:
            yield fate
        finally:
            self._in_flight -= 1

    def _over_limit(self) -> Refusal | None:
        return self._over_quota() or self._over_concurrency()

    def _over_quota(self) -> Refusal | None:
        if self._quota is None or self._quota.take():
            return None
        self._struck["over_quota"] += 1
        limit = self.plan.requests_per_minute
        message = f"Quota exceeded: {limit} online prediction requests per minute."
        return Refusal(_TOO_MANY_REQUESTS, message, self._quota.seconds_left())

    def _over_concurrency(self) -> Refusal | None:
        limit = self.plan.concurrent_requests
        if limit is None or self._in_flight < limit:
            return None
        self._struck["over_concurrency"] += 1
        message = f"Quota exceeded: {limit} concurrent online prediction requests."
        return Refusal(_TOO_MANY_REQUESTS, message, retry_after=1)

    def _count(self, fate: Fate) -> None:
        self._struck["restarts"] += fate.away_seconds is not None
        self._struck["resets"] += fate.reset
        self._struck["truncated"] += fate.truncated
        self._struck["slow"] += fate.drip_seconds > 0
        if fate.refusal is not None:
            self._errors[fate.refusal.code] += 1


class Faults:
    """The plan in force, if there is one; the clock is that of its quota."""

    def __init__(self, clock: Clock, plan: FaultPlan | None = None) -> None:
        self._clock = clock
        self._injection = None if plan is None else Injection(plan, clock)

    @property
    def injection(self) -> Injection | None:
        """The plan in force, with its counts."""
        return self._injection

    def begin(self, plan: FaultPlan) -> None:
        """Put a plan in place of the one that is in force; counts and seed begin anew."""
        self._injection = Injection(plan, self._clock)

    def end(self) -> None:
        """End all faults."""
        self._injection = None


def _quota(plan: FaultPlan, clock: Clock) -> RequestQuota | None:
    limit = plan.requests_per_minute
    return None if limit is None else RequestQuota(limit, clock)
