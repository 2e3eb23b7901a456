"""Failures of a request that may pass: what is worth a retry, and what to change for it."""


class Transient(Exception):
    """A failure that may pass; `retry_after` is the wait that the server asks for, in seconds."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Throttled(Transient):
    """The service has too much to do: less at a time may pass."""


class OverQuota(Throttled):
    """A quota is used up: the service is there, and will take more later."""


class TooSlow(Transient):
    """The request took longer than it may: fewer instances may pass."""
