"""What comes back for an instance."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rejected:
    """In place of an estimate: the model, or the service, refuses this one instance."""

    reason: str


Estimate = float | Rejected
"""Pounds, or why there are none."""

NOT_FINITE: Final = Rejected("the model's estimate is not a finite number")
"""For an instance that the model has no sensible answer to."""
