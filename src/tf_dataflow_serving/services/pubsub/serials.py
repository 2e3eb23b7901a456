"""The numbers of everything that the broker creates."""

from collections.abc import Callable

BLOCK = 1_000_000


class Serials:
    """One counter for messages, resources and leases, so that an ack ID is never given twice.

    It starts at the microseconds of the clock, or at what was reserved before if that is more:
    no process gives the numbers of one that ran before it, so clients of that one who come back
    take nothing for their own. `reserve` is called ahead of every block of numbers.
    """

    def __init__(self, now: int, reserved: int, reserve: Callable[[int], None]) -> None:
        self._last = self._reserved = max(now // 1_000, reserved)
        self._reserve = reserve

    def __iter__(self) -> "Serials":
        """Return itself: the numbers are an endless sequence."""
        return self

    def __next__(self) -> int:
        if self._last == self._reserved:
            self._reserve(self._reserved + BLOCK)
            self._reserved += BLOCK
        self._last += 1
        return self._last
