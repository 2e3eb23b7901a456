"""What outlives the process, and the interface of whoever keeps it.

The state of a subscription, and of a snapshot of one, is written as a `floor` and a set of
numbers above it: every message of its topic up to and including the floor is settled, and so
are those in the set; all others are owed. Messages, topics, subscriptions and snapshots are
numbered from one counter that only grows, also from one process to the next.
"""

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from tf_dataflow_serving.services.pubsub.message import Message
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings


@dataclass(frozen=True)
class TopicRecord:
    """A topic; a deleted one is kept while others still owe its messages.

    Messages below `history_from` are not retained for later seeks.
    """

    serial: int
    name: str
    settings: TopicSettings
    deleted: bool = False
    history_from: int = 0


@dataclass(frozen=True)
class SubscriptionRecord:
    """A subscription to the topic with the serial `topic`.

    Messages below `history_from` are not retained once acknowledged; ack IDs of leases with a
    lower number than `first_lease` are from before a seek.
    """

    serial: int
    name: str
    topic: int
    settings: SubscriptionSettings
    detached: bool = False
    history_from: int = 0
    first_lease: int = 0


@dataclass(frozen=True)
class SnapshotRecord:
    """A snapshot of messages of the topic with the serial `topic`.

    `expire_time` is in nanoseconds since the Unix epoch.
    """

    serial: int
    name: str
    topic: int
    expire_time: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class AckState:
    """Which messages are settled: those up to `floor`, and those in `acknowledged`."""

    floor: int
    acknowledged: Set[int] = frozenset()


@dataclass(frozen=True)
class StoredState:
    """Everything that a store holds; messages by the serial of their topic, in order.

    No number above `reserved` has been given to anything.
    """

    topics: Sequence[TopicRecord] = ()
    messages: Mapping[int, Sequence[Message]] = field(default_factory=dict)
    subscriptions: Sequence[tuple[SubscriptionRecord, AckState]] = ()
    snapshots: Sequence[tuple[SnapshotRecord, AckState]] = ()
    reserved: int = 0


class Store:
    """Keeps changes: when a method, or the outermost transaction, ends, they are kept.

    This one keeps nothing, for an emulator whose state is in memory only. One that does raises
    StorageFailed from any method when it cannot, and then has changed nothing.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Keep all changes made in this context, or none; may be nested."""
        return nullcontext()

    def load(self) -> StoredState:
        """Return what was kept before."""
        return StoredState()

    def latest_time(self) -> int:
        """Return the time of the latest publication that is kept, 0 if there is none."""
        return 0

    def reserve(self, serial: int) -> None:
        """Allow for numbers up to this one, which is higher than any before."""

    def save_topic(self, record: TopicRecord) -> None:
        """Add a topic or replace its record."""

    def append(self, topic: int, messages: Sequence[Message]) -> None:
        """Add messages to a topic."""

    def delete_messages(self, topic: int, before: int) -> None:
        """Forget the messages of a topic with a lower number than `before`."""

    def save_subscription(self, record: SubscriptionRecord) -> None:
        """Replace the record of a subscription."""

    def add_subscription(self, record: SubscriptionRecord, floor: int) -> None:
        """Add a subscription."""

    def delete_subscription(self, serial: int) -> None:
        """Forget a subscription and its state."""

    def acknowledge(self, subscription: int, sequences: Sequence[int]) -> None:
        """Settle messages above the subscription's floor."""

    def raise_floor(self, subscription: int, floor: int) -> None:
        """Settle all messages up to `floor`, which is not below the present one."""

    def seek(self, subscription: int, floor: int, replay_from: int) -> None:
        """Set the floor, to a lower number too, and owe all messages from `replay_from` on."""

    def seek_to_snapshot(self, subscription: int, snapshot: int) -> None:
        """Replace the state of a subscription by a snapshot's."""

    def add_snapshot(self, record: SnapshotRecord, subscription: int) -> None:
        """Add a snapshot with the present state of a subscription."""

    def save_snapshot(self, record: SnapshotRecord) -> None:
        """Replace the record of a snapshot."""

    def delete_snapshot(self, serial: int) -> None:
        """Forget a snapshot and its state."""
