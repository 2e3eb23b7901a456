"""What was published lately, and what became of it: for the assertions of tests."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.message import Message

DEFAULT_CAPACITY = 10_000
MAX_BYTES = 256 * 1024 * 1024
"""Data and attributes that are kept at most: 10,000 messages alone may have 100 GB."""


class Progress(NamedTuple):
    """How far a message is on one subscription.

    `deliveries` and `extensions` are counted since it was published; `acknowledged` is about
    the last delivery: a seek may have made a message come again that was acknowledged before.
    """

    deliveries: int
    extensions: int
    acknowledged: bool


class Record(NamedTuple):
    """A published message and its deliveries, with the names of their subscriptions."""

    topic: str
    message: Message
    deliveries: Sequence[tuple[str, Delivery]]

    def progress(self) -> Mapping[str, Progress]:
        """Return how far it is on each subscription that delivered it."""
        found: dict[str, Progress] = {}
        for name, delivery in self.deliveries:
            before = found.get(name, Progress(0, 0, False))
            found[name] = Progress(
                before.deliveries + delivery.attempt,
                before.extensions + delivery.extensions,
                delivery.acknowledged,
            )
        return found


class Journal:
    """A bounded history: at most `capacity` messages, of at most MAX_BYTES.

    It costs a broker that works at full load next to nothing: it keeps the messages and
    deliveries themselves, and reads their counters when it is asked.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.forgotten = 0
        self._capacity = capacity
        self._published: deque[tuple[str, Message]] = deque()
        self._deliveries: dict[int, list[tuple[str, Delivery]]] = {}
        self._bytes = 0

    def published(self, topic_name: str, messages: Sequence[Message]) -> None:
        """Record a publication, and forget what is too old for its sake."""
        self._published.extend(zip(repeat(topic_name), messages, strict=False))
        self._bytes += sum([message.size for message in messages])
        while len(self._published) > self._capacity or self._bytes > MAX_BYTES:
            self._forget_oldest()

    def delivered(self, subscription_name: str, delivery: Delivery) -> None:
        """Record a delivery when it is handed out first; later ones are in its counters."""
        sequence = delivery.message.sequence
        if self._published and sequence >= self._published[0][1].sequence:
            self._deliveries.setdefault(sequence, []).append((subscription_name, delivery))

    def records(self, topic: str = "") -> Iterator[Record]:
        """Return what is known, of one topic or all, in the order of publication."""
        for name, message in self._published:
            if topic in ("", name):
                yield Record(name, message, self._deliveries.get(message.sequence, ()))

    def clear(self) -> None:
        """Begin anew."""
        self._published.clear()
        self._deliveries.clear()
        self._bytes = 0
        self.forgotten = 0

    def _forget_oldest(self) -> None:
        _, message = self._published.popleft()
        self._deliveries.pop(message.sequence, None)
        self._bytes -= message.size
        self.forgotten += 1
