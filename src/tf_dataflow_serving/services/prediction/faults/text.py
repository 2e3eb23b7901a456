"""A plan as one word of a command line: `errors=429:0.5+503:0.1,latency=normal:50:10`."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tf_dataflow_serving.services.prediction.faults.latency import parse_latency
from tf_dataflow_serving.services.prediction.faults.numbers import (
    InvalidPlan,
    by_code,
    number,
    parts,
    whole,
)
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan, Restart, SlowBody


def parse_plan(text: str) -> FaultPlan:
    """Return the plan that a text says: NAME=VALUE, several with commas; raises InvalidPlan."""
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, value = _parsed(part)
        if name in values:
            raise InvalidPlan(name, "it is given twice")
        values[name] = value
    return FaultPlan(**values)


def plan_argument(text: str) -> FaultPlan:
    """Return the plan that a command line says; raises ArgumentTypeError."""
    try:
        return parse_plan(text)
    except InvalidPlan as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parsed(part: str) -> tuple[str, object]:
    name, separator, value = part.partition("=")
    if not separator:
        raise InvalidPlan(part, "the form is NAME=VALUE, several with commas between them")
    if name not in _PARSERS:
        raise InvalidPlan(name, f"there is no such fault; there are {', '.join(_PARSERS)}")
    return name, _PARSERS[name](value)


def _parse_errors(text: str) -> Mapping[int, float]:
    given = (parts("errors", part, "CODE:PROBABILITY") for part in text.split("+"))
    return by_code("errors", ((code, number("errors", share)) for code, share in given))


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "seed": partial(whole, "seed"),
    "requests_per_minute": partial(whole, "requests_per_minute"),
    "concurrent_requests": partial(whole, "concurrent_requests"),
    "latency": parse_latency,
    "errors": _parse_errors,
    "retry_after": partial(whole, "retry_after"),
    "reset": partial(number, "reset"),
    "truncate": partial(number, "truncate"),
    "slow_body": SlowBody.parse,
    "restart": Restart.parse,
}
