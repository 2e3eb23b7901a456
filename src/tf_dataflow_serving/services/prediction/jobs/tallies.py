"""What a job, or a part of one, has done."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

MAX_MESSAGES = 1_000
MAX_CHARACTERS = 1_000
OTHER_ERRORS = "Other errors"
"""What bad lines are counted under whose messages are beyond the first MAX_MESSAGES."""


class Tally:
    """Predictions, bad lines and time; threads may add to it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._predictions = 0
        self._node_seconds = 0.0

    @classmethod
    def sum(cls, parts: Iterable["Tally"]) -> Self:
        """Return what all parts have done together, as far as they are now."""
        total = cls()
        for part in parts:
            total._predictions += part.predictions
            total._count(part.errors)
            total._node_seconds += part._node_seconds
        return total

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the tally that a document was made of."""
        tally = cls()
        tally._predictions = document["predictions"]
        tally._errors.update(document["errors"])
        tally._node_seconds = document["node_seconds"]
        return tally

    @property
    def predictions(self) -> int:
        """Number of predictions made."""
        return self._predictions

    @property
    def errors(self) -> Counter[str]:
        """How often each error message came up; their sum is the number of bad lines."""
        with self._lock:
            return self._errors.copy()

    @property
    def node_hours(self) -> float:
        """Time that workers were busy, in hours, added up over the workers."""
        return self._node_seconds / 3600

    def add(self, predictions: int, errors: Iterable[str]) -> None:
        """Count predictions and bad lines; of a message, MAX_CHARACTERS are kept."""
        with self._lock:
            self._predictions += predictions
            # Messages quote from lines, which may be of any length.
            self._count(Counter(message[:MAX_CHARACTERS] for message in errors))

    def worked(self, seconds: float) -> None:
        """Count the time of a worker."""
        with self._lock:
            self._node_seconds += seconds

    def _count(self, errors: Mapping[str, int]) -> None:
        for message, count in errors.items():
            known = message in self._errors or len(self._errors) < MAX_MESSAGES
            self._errors[message if known else OTHER_ERRORS] += count

    def document(self) -> dict[str, Any]:
        """Return it in a form that JSON can hold."""
        return {
            "predictions": self.predictions,
            "errors": self.errors,
            "node_seconds": self._node_seconds,
        }
