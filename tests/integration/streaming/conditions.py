"""Waits for what nobody announces."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.05


def poll(is_so: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again for up to `seconds`; returns the last answer."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
