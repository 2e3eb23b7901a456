"""Numbers the versions of objects and buckets."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Generations:
    """Microseconds since 1970, as in the real service, yet rising whatever the clock does.

    Not for use by several threads at once: callers hold the catalog's transaction.
    """

    def __init__(self, last: int):
        self._last = last

    def after(self, now: datetime) -> int:
        """Return a number above all that were returned before."""
        self._last = max(self._last + 1, (now - _EPOCH) // _MICROSECOND)
        return self._last
