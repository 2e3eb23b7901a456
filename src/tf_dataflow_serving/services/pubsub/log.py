"""The messages of a topic, in the order of their publication."""

from tf_dataflow_serving.services.pubsub.message import Message


class Entry:
    """A place in a log: a message and the place after it, both None at the log's end."""

    __slots__ = ("message", "next")

    def __init__(self) -> None:
        self.message: Message | None = None
        self.next: Entry | None = None


class Log:
    """An append-only chain of entries.

    The log itself refers to its end only; each reader keeps the entry that it has reached.
    So publishing costs the same for one subscription and for a thousand, and an entry is
    freed as soon as the last reader has passed it.
    """

    def __init__(self) -> None:
        self.end = Entry()
        self.length = 0

    def append(self, message: Message) -> None:
        """Add a message; it is read by every reader that stands at or before the end."""
        entry = self.end
        entry.message = message
        entry.next = self.end = Entry()
        self.length += 1


class Reader:
    """A position in a log, at its end to begin with."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._entry = log.end
        self._passed = log.length

    @property
    def pending(self) -> int:
        """Number of messages between this position and the log's end."""
        return self._log.length - self._passed

    def read(self) -> Message | None:
        """Return the next message and pass it; None at the end."""
        message = self._entry.message
        if self._entry.next is not None:
            self._entry = self._entry.next
            self._passed += 1
        return message
