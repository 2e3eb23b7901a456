"""Topics, subscriptions and snapshots."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tf_dataflow_serving.services.pubsub.backlog import STEPS_PER_TURN, Backlog, Position
from tf_dataflow_serving.services.pubsub.delivery import AckId, Delivered, Delivery
from tf_dataflow_serving.services.pubsub.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.pubsub.log import Log, Reader
from tf_dataflow_serving.services.pubsub.message import Message
from tf_dataflow_serving.services.pubsub.names import DELETED_TOPIC
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings
from tf_dataflow_serving.services.pubsub.store.interface import (
    SnapshotRecord,
    SubscriptionRecord,
    TopicRecord,
)


class Topic:
    """A named log of messages with its subscriptions.

    `serial` tells it from others that had its name. `history` is the oldest message that the
    topic retains for its subscribers, None without a retention of its own, or once deleted.
    """

    def __init__(self, record: TopicRecord) -> None:
        self.serial = record.serial
        self.log = Log()
        self.history: Reader | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self._deleted = record.deleted
        self._own_name = record.name
        self.settings = record.settings

    @property
    def name(self) -> str:
        """The name; of a deleted topic a word that says so."""
        return DELETED_TOPIC if self._deleted else self._own_name

    @property
    def deleted(self) -> bool:
        """Tell whether it is here only for those who still owe its messages."""
        return self._deleted

    @property
    def settings(self) -> TopicSettings:
        """What the owner chose."""
        return self._settings

    @settings.setter
    def settings(self, settings: TopicSettings) -> None:
        self._settings = settings
        if settings.retention is None or self._deleted:
            self.history = None
        elif self.history is None:
            self.history = self.end()

    @property
    def record(self) -> TopicRecord:
        """What is kept of the topic."""
        return TopicRecord(
            serial=self.serial,
            name=self._own_name,
            settings=self.settings,
            deleted=self._deleted,
            history_from=self.history_start(self.settings),
        )

    def history_start(self, settings: TopicSettings) -> int:
        """Return the lowest sequence that is retained if these are the settings."""
        if settings.retention is None:
            return 0
        return (self.history or self.end()).next_sequence

    def delete(self) -> None:
        """Leave the messages to those who owe them, and to nobody else."""
        self._deleted = True
        self.history = None

    def end(self) -> Reader:
        """Return a reader of what is published from now on."""
        return Reader(self.log)

    def append(self, messages: Iterable[Message]) -> None:
        """Publish messages to all subscriptions that exist now."""
        for message in messages:
            self.log.append(message)
        for subscription in self.subscriptions.values():
            subscription.backlog.wake_consumers()

    def forget_old(self, now: int) -> None:
        """Let go of messages that are past the topic's own retention."""
        if self.history is not None and self.settings.retention is not None:
            self.history.pass_older(now - self.settings.retention, STEPS_PER_TURN)


class Subscription:
    """A named backlog of messages; `serial` tells it from others that had its name.

    `history` is the oldest message that it retains though it was acknowledged, None if it
    does not retain such messages. `active_at` is the time at which it was last used.
    """

    def __init__(
        self, record: SubscriptionRecord, topic: Topic, backlog: Backlog, active_at: int
    ) -> None:
        self.name = record.name
        self.serial = record.serial
        self.topic = topic
        self.backlog = backlog
        self.history: Reader | None = None
        self.detached = record.detached
        self.deleted = False
        self.active_at = active_at
        self._first_lease = record.first_lease
        self.settings = record.settings

    @property
    def settings(self) -> SubscriptionSettings:
        """What the owner chose."""
        return self._settings

    @settings.setter
    def settings(self, settings: SubscriptionSettings) -> None:
        self._settings = settings
        self.backlog.retry_policy = settings.retry_policy
        if not settings.retain_acked_messages:
            self.history = None
        elif self.history is None:
            self.history = self.backlog.unread()

    @property
    def record(self) -> SubscriptionRecord:
        """What is kept of the subscription, beside its backlog."""
        return SubscriptionRecord(
            serial=self.serial,
            name=self.name,
            topic=self.topic.serial,
            settings=self.settings,
            detached=self.detached,
            history_from=self.history_start(self.settings),
            first_lease=self._first_lease,
        )

    def history_start(self, settings: SubscriptionSettings) -> int:
        """Return the lowest sequence that is retained if these are the settings."""
        if not settings.retain_acked_messages:
            return 0
        return (self.history or self.backlog.unread()).next_sequence

    def detach(self) -> None:
        """Drop the backlog for good and refuse consumers from now on."""
        self.detached = True
        self.history = None
        self.backlog.clear()

    def delete(self) -> None:
        """Drop the backlog and turn the consumers away."""
        self.deleted = True
        self.backlog.clear()

    def check_attached(self) -> None:
        """Raise NotFound once the subscription is deleted, FailedPrecondition once detached."""
        if self.deleted:
            raise NotFound(self.name)
        if self.detached:
            raise FailedPrecondition(f"Subscription is detached (resource={self.name}).")

    def use(self, now: int) -> None:
        """Prepare for a consumer to take messages; see check_attached for what it raises."""
        self.check_attached()
        self.active_at = now
        self.forget_old(now)

    def forget_old(self, now: int) -> None:
        """Let go of messages that are past their retention, the topic's if that is longer."""
        self.backlog.oldest = now - max(self.settings.retention, self.topic.settings.retention or 0)
        if self.history is not None:
            self.history.pass_older(now - self.settings.retention, STEPS_PER_TURN)

    def parse_ack_id(self, text: str) -> AckId:
        """Read an ack ID; raises InvalidArgument if this subscription did not give it."""
        ack_id = AckId.parse(text)
        if ack_id.subscription != self.serial:
            raise InvalidArgument(
                "You have passed a subscription that does not belong to the given ack ID "
                f"(resource={self.name})."
            )
        return ack_id

    def finder(self) -> Callable[[AckId], Delivery | None]:
        """Return what finds the message that an ack ID may acknowledge."""
        return self.find_leased if self.settings.enable_exactly_once_delivery else self.find

    def find(self, ack_id: AckId) -> Delivery | None:
        """Return the message that an ack ID names, None if it is settled.

        None too for an ack ID from before a seek: it must not undo that.
        """
        if ack_id.lease < self._first_lease:
            return None
        return self.backlog.find_ahead(ack_id.sequence)

    def find_leased(self, ack_id: AckId) -> Delivery | None:
        """Return the message that an ack ID names, None if the lease that it names has ended."""
        delivery = self.backlog.find(ack_id.sequence)
        if delivery is None or delivery.holder is None or delivery.lease != ack_id.lease:
            return None
        return delivery

    def delivered(self, delivery: Delivery) -> Delivered:
        """Return a message that was leased as its consumer gets it."""
        ack_id = AckId(self.serial, delivery.message.sequence, delivery.lease)
        counted = self.settings.dead_letter_policy is not None
        return Delivered(str(ack_id), delivery.message, delivery.returns + 1 if counted else 0)

    def seek(self, position: Position, first_lease: int) -> None:
        """Owe from now on what `position` says; the leases to come are `first_lease` or above."""
        self._first_lease = first_lease
        self.backlog.reset(position)

    def rewound(self, time: int) -> Position:
        """Return what is owed if just what was published from `time` on is."""
        histories = (one for one in (self.history, self.topic.history) if one is not None)
        return self.backlog.rewound(time, histories)


@dataclass
class Snapshot:
    """What a subscription owed at one moment, kept with all that was published after it."""

    record: SnapshotRecord
    topic: Topic
    position: Position

    @property
    def name(self) -> str:
        """The full name."""
        return self.record.name
