"""A plan as a JSON object: its fields by name, those with several numbers as on a command line.

`{"seed": 7, "errors": {"429": 0.5}, "latency": "normal:50:10", "restart": "500:30"}`
"""

from collections.abc import Callable, Mapping
from typing import Any

from tf_dataflow_serving.services.prediction.faults.latency import parse_latency
from tf_dataflow_serving.services.prediction.faults.numbers import (
    InvalidPlan,
    by_code,
    number,
    whole,
)
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan, Restart, SlowBody


def plan_document(plan: FaultPlan) -> dict[str, Any]:
    """Return the JSON object of a plan, all of its fields."""
    return {
        "seed": plan.seed,
        "requests_per_minute": plan.requests_per_minute,
        "concurrent_requests": plan.concurrent_requests,
        "latency": None if plan.latency is None else str(plan.latency),
        "errors": {str(code): share for code, share in plan.errors.items()},
        "retry_after": plan.retry_after,
        "reset": plan.reset,
        "truncate": plan.truncate,
        "slow_body": None if plan.slow_body is None else str(plan.slow_body),
        "restart": None if plan.restart is None else str(plan.restart),
    }


def plan_from_document(document: Mapping[str, object]) -> FaultPlan:
    """Return the plan that a JSON object says, null being the default; raises InvalidPlan."""
    for name in document:
        if name not in _READERS:
            raise InvalidPlan(name, f"there is no such fault; there are {', '.join(_READERS)}")
    given = {name: value for name, value in document.items() if value is not None}
    values: dict[str, Any] = {name: _READERS[name](name, value) for name, value in given.items()}
    return FaultPlan(**values)


def _whole(name: str, value: object) -> int:
    if type(value) is not int:
        raise InvalidPlan(name, "a whole number is expected")
    return whole(name, str(value))


def _number(name: str, value: object) -> float:
    if type(value) not in (int, float):
        raise InvalidPlan(name, "a number is expected")
    return number(name, str(value))


def _errors(name: str, value: object) -> Mapping[int, float]:
    if not isinstance(value, dict):
        raise InvalidPlan(name, "an object is expected, of probabilities by status code")
    return by_code(name, ((code, _number(name, share)) for code, share in value.items()))


def _text(parse: Callable[[str], object]) -> Callable[[str, object], object]:
    def read(name: str, value: object) -> object:
        if not isinstance(value, str):
            raise InvalidPlan(name, "a string is expected")
        return parse(value)

    return read


_READERS: Mapping[str, Callable[[str, object], object]] = {
    "seed": _whole,
    "requests_per_minute": _whole,
    "concurrent_requests": _whole,
    "latency": _text(parse_latency),
    "errors": _errors,
    "retry_after": _whole,
    "reset": _number,
    "truncate": _number,
    "slow_body": _text(SlowBody.parse),
    "restart": _text(Restart.parse),
}
