"""Messages that failed by themselves: each is given back, and tried apart when it comes again."""

FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 10.0
MAX_REMEMBERED = 10_000


class Suspects:
    """How often each was given back, by the name of its delivery; the oldest are forgotten."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._times)

    def __contains__(self, delivery: str) -> bool:
        """Whether it failed by itself, and has not succeeded since."""
        return delivery in self._times

    def add(self, delivery: str) -> float:
        """Return after how many seconds it shall come again: longer each time."""
        times = self._times.pop(delivery, 0)
        self._times[delivery] = times + 1
        if len(self._times) > MAX_REMEMBERED:
            del self._times[next(iter(self._times))]
        return min(FIRST_DELAY_SECONDS * 2.0 ** min(times, 16), MAX_DELAY_SECONDS)

    def clear(self, delivery: str) -> None:
        """Take note that it has succeeded."""
        self._times.pop(delivery, None)
