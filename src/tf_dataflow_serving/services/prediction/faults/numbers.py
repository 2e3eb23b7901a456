"""Numbers as users write them in a plan, and the ranges that they keep to."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tf_dataflow_serving.errors import UserError

MAX_SECONDS = 3_600.0


class InvalidPlan(UserError):
    """A plan of faults that makes no sense; `field` names the part at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def number(field: str, text: str) -> float:
    """Return the number that a text is; raises InvalidPlan."""
    try:
        value = float(text)
    except ValueError:
        raise InvalidPlan(field, f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise InvalidPlan(field, f"{text!r} is not a number")
    return value


def whole(field: str, text: str) -> int:
    """Return the whole number that a text is; raises InvalidPlan."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise InvalidPlan(field, f"{text!r} is not a whole number")
    return int(text)


def by_code(field: str, shares: Iterable[tuple[str, float]]) -> Mapping[int, float]:
    """Return shares by the whole number that each code is; raises InvalidPlan."""
    found: dict[int, float] = {}
    for code, share in shares:
        if whole(field, code) in found:
            raise InvalidPlan(field, f"{int(code)} is given twice")
        found[int(code)] = share
    return found


def shown(value: float) -> str:
    """Return a number as text that gives the same number again."""
    return repr(value).removesuffix(".0")


def parts(field: str, text: str, form: str) -> list[str]:
    """Return what colons separate in a text of the form that is given; raises InvalidPlan."""
    found = text.split(":")
    if len(found) != len(form.split(":")):
        raise InvalidPlan(field, f"{text!r} is not of the form {form}")
    return found


def check_range(field: str, value: Any, least: float, most: float) -> None:
    """Raise InvalidPlan for a value out of bounds, NaN among them."""
    if not least <= value <= most:
        raise InvalidPlan(field, f"{value:g} is not from {least:g} to {most:g}")
