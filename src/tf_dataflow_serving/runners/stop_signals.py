"""Ctrl-C and SIGTERM, taken as requests instead of as the end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignals:
    """What was asked for: the first signal asks to stop, any other to do so at once."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.at_once = threading.Event()

    def receive(self, _number: int, _frame: FrameType | None) -> None:
        """Note a signal."""
        (self.at_once if self.stop.is_set() else self.stop).set()


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Receive SIGINT and SIGTERM for as long as the context lasts."""
    signals = StopSignals()
    previous = {
        number: signal.signal(number, signals.receive) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
