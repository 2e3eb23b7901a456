"""What a pipeline is told from outside its thread."""

import threading


class Control:
    """Wakes the pipeline's thread, and tells it to drain or to cancel."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._has_news = False
        self._is_draining = False
        self._is_cancelled = False

    @property
    def is_draining(self) -> bool:
        """Whether to read no more and to be done once everything has flowed to its end."""
        return self._is_draining

    @property
    def is_cancelled(self) -> bool:
        """Whether to end as soon as the turn that is being worked out allows it."""
        return self._is_cancelled

    def wake(self) -> None:
        """Say that there may be something to do."""
        with self._changed:
            self._has_news = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Ask for the end that loses nothing."""
        self._is_draining = True
        self.wake()

    def cancel(self) -> None:
        """Ask for the quick end."""
        self._is_cancelled = True
        self.wake()

    def wait(self, timeout: float | None) -> None:
        """Wait for news, so many seconds at most; None: for as long as it takes."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_news, timeout)
            self._has_news = False
