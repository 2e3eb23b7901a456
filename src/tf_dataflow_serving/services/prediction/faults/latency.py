"""How long a request is held up: distributions, each by its quantiles."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

from tf_dataflow_serving.services.prediction.faults.numbers import (
    MAX_SECONDS,
    InvalidPlan,
    check_range,
    number,
    parts,
    shown,
)

_FIELD = "latency"
_MAX_MILLISECONDS = MAX_SECONDS * 1_000
_STANDARD_NORMAL = NormalDist()
_Z_99 = _STANDARD_NORMAL.inv_cdf(0.99)
# A quantile is drawn from [0, 1), where 0 has no finite value; the next larger one is 2**-53.
_LEAST_QUANTILE = 2.0**-53


@dataclass(frozen=True)
class FixedLatency:
    """Always the same."""

    milliseconds: float

    def __post_init__(self) -> None:
        check_range(_FIELD, self.milliseconds, 0, _MAX_MILLISECONDS)

    def __str__(self) -> str:
        return f"fixed:{shown(self.milliseconds)}"

    def seconds(self, _quantile: float) -> float:
        """Return the delay."""
        return self.milliseconds / 1_000


@dataclass(frozen=True)
class NormalLatency:
    """A normal distribution; what would be below zero is zero."""

    mean_ms: float
    deviation_ms: float

    def __post_init__(self) -> None:
        check_range(_FIELD, self.mean_ms, 0, _MAX_MILLISECONDS)
        check_range(_FIELD, self.deviation_ms, 0, _MAX_MILLISECONDS)

    def __str__(self) -> str:
        return f"normal:{shown(self.mean_ms)}:{shown(self.deviation_ms)}"

    def seconds(self, quantile: float) -> float:
        """Return the delay that this share of all requests, from [0, 1), stays below."""
        milliseconds = self.mean_ms + self.deviation_ms * _standard_normal(quantile)
        return min(max(milliseconds, 0.0), _MAX_MILLISECONDS) / 1_000


@dataclass(frozen=True)
class LongTailLatency:
    """A log-normal distribution: half stay below the median, one in a hundred above `p99_ms`."""

    median_ms: float
    p99_ms: float

    def __post_init__(self) -> None:
        check_range(_FIELD, self.median_ms, 0, _MAX_MILLISECONDS)
        check_range(_FIELD, self.p99_ms, 0, _MAX_MILLISECONDS)
        if not 0 < self.median_ms <= self.p99_ms:
            raise InvalidPlan(_FIELD, "the median has to be above 0, and not above the p99")

    def __str__(self) -> str:
        return f"long-tail:{shown(self.median_ms)}:{shown(self.p99_ms)}"

    def seconds(self, quantile: float) -> float:
        """Return the delay that this share of all requests, from [0, 1), stays below."""
        median = math.log(self.median_ms)
        spread = (math.log(self.p99_ms) - median) / _Z_99
        logarithm = median + spread * _standard_normal(quantile)
        return math.exp(min(logarithm, math.log(_MAX_MILLISECONDS))) / 1_000


Latency = FixedLatency | NormalLatency | LongTailLatency

_KINDS: Mapping[str, tuple[str, Callable[..., Latency]]] = {
    "fixed": ("fixed:MS", FixedLatency),
    "normal": ("normal:MEAN_MS:DEVIATION_MS", NormalLatency),
    "long-tail": ("long-tail:MEDIAN_MS:P99_MS", LongTailLatency),
}


def parse_latency(text: str) -> Latency:
    """Return the latency that a text like `normal:50:10` says; raises InvalidPlan."""
    kind = text.partition(":")[0]
    if kind not in _KINDS:
        raise InvalidPlan(_FIELD, f"{kind!r} is none of {', '.join(_KINDS)}")
    form, latency = _KINDS[kind]
    return latency(*(number(_FIELD, part) for part in parts(_FIELD, text, form)[1:]))


def _standard_normal(quantile: float) -> float:
    return _STANDARD_NORMAL.inv_cdf(max(quantile, _LEAST_QUANTILE))
