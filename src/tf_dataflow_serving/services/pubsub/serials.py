"""The numbers of everything that the broker creates."""


class Serials:
    """One counter for messages, resources and leases, so that an ack ID is never given twice.

    It starts at the microseconds of the clock: no process catches up with the numbers of one
    that ran before it, and clients of that one who come back take nothing for their own.
    """

    def __init__(self, now: int) -> None:
        self._last = now // 1_000

    def __iter__(self) -> "Serials":
        """Return itself: the numbers are an endless sequence."""
        return self

    def __next__(self) -> int:
        self._last += 1
        return self._last

    def start_after(self, number: int) -> None:
        """Give higher numbers than this one from now on."""
        self._last = max(self._last, number)
