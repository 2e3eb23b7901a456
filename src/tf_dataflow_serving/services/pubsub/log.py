"""The messages of a topic, in the order of their publication."""

from collections.abc import Iterator
from itertools import count

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
        self.last_sequence = 0

    def append(self, message: Message) -> None:
        """Add a message; it is read by every reader that stands at or before the end."""
        entry = self.end
        entry.message = message
        entry.next = self.end = Entry()
        self.length += 1
        self.last_sequence = message.sequence


class Reader:
    """A position in a log, at its end to begin with."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._entry = log.end
        self._passed = log.length

    def __iter__(self) -> Iterator[Message]:
        """Return the messages after this position, which stays where it is."""
        entry = self._entry
        while entry.message is not None and entry.next is not None:
            yield entry.message
            entry = entry.next

    @property
    def pending(self) -> int:
        """Number of messages between this position and the log's end."""
        return self._log.length - self._passed

    @property
    def next_sequence(self) -> int:
        """The lowest sequence that the next message can have, the one it has if it exists."""
        message = self._entry.message
        return self._log.last_sequence + 1 if message is None else message.sequence

    def copy(self) -> "Reader":
        """Return another reader at this position."""
        twin = Reader(self._log)
        twin._entry, twin._passed = self._entry, self._passed
        return twin

    def read(self) -> Message | None:
        """Return the next message and pass it; None at the end."""
        message = self._entry.message
        if self._entry.next is not None:
            self._entry = self._entry.next
            self._passed += 1
        return message

    def pass_older(self, time: int, limit: int | None = None) -> None:
        """Pass the messages that were published before `time`, at most `limit` of them."""
        steps = count() if limit is None else range(limit)
        for _ in steps:
            message = self._entry.message
            if message is None or message.publish_time >= time:
                return
            self.read()
