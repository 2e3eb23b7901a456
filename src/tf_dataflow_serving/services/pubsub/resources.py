"""Topics and subscriptions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.backlog import Backlog
from tf_dataflow_serving.services.pubsub.consumer import Consumer
from tf_dataflow_serving.services.pubsub.delivery import AckId, Delivered, Delivery
from tf_dataflow_serving.services.pubsub.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.pubsub.log import Log
from tf_dataflow_serving.services.pubsub.message import Message
from tf_dataflow_serving.services.pubsub.names import DELETED_TOPIC


@dataclass(frozen=True)
class TopicSettings:
    """What the owner of a topic may choose."""

    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SubscriptionSettings:
    """What the owner of a subscription may choose; filter and order only at its creation."""

    ack_deadline_seconds: int = limits.DEFAULT_ACK_DEADLINE_SECONDS
    labels: Mapping[str, str] = field(default_factory=dict)
    enable_message_ordering: bool = False
    filter: str = ""


class Topic:
    """A named log of messages with its subscriptions."""

    def __init__(self, name: str, settings: TopicSettings) -> None:
        self.name = name
        self.settings = settings
        self.log = Log()
        self.subscriptions: dict[str, Subscription] = {}

    def append(self, messages: list[Message]) -> None:
        """Publish messages to all subscriptions that exist now."""
        for message in messages:
            self.log.append(message)
        for subscription in self.subscriptions.values():
            subscription.backlog.wake_consumers()


class Subscription:
    """A named backlog of messages; `serial` tells it from others that had its name."""

    def __init__(
        self,
        name: str,
        serial: int,
        topic: Topic,
        settings: SubscriptionSettings,
        backlog: Backlog,
    ) -> None:
        self.name = name
        self.serial = serial
        self.topic_name = topic.name
        self.settings = settings
        self.backlog = backlog
        self.detached = False
        self.deleted = False

    def forget_topic(self) -> None:
        """Show that the topic is gone; the backlog stays."""
        self.topic_name = DELETED_TOPIC

    def detach(self) -> None:
        """Drop the backlog for good and refuse consumers from now on."""
        self.detached = True
        self._close()

    def delete(self) -> None:
        """Drop the backlog and turn the consumers away."""
        self.deleted = True
        self._close()

    def take(self, consumer: Consumer, deadline: int, max_bytes: int) -> list[Delivered]:
        """Lease messages to a consumer; see Backlog.take.

        Raises NotFound once the subscription is deleted, FailedPrecondition once detached.
        """
        if self.deleted:
            raise NotFound(self.name)
        if self.detached:
            raise FailedPrecondition(f"Subscription is detached (resource={self.name}).")
        taken = self.backlog.take(consumer, deadline, max_bytes)
        return [self._delivered(delivery) for delivery in taken]

    def parse_ack_id(self, text: str) -> AckId:
        """Read an ack ID; raises InvalidArgument if this subscription did not give it."""
        ack_id = AckId.parse(text)
        if ack_id.subscription != self.serial:
            raise InvalidArgument(
                "You have passed a subscription that does not belong to the given ack ID "
                f"(resource={self.name})."
            )
        return ack_id

    def _delivered(self, delivery: Delivery) -> Delivered:
        ack_id = AckId(self.serial, delivery.message.sequence, delivery.attempt)
        return Delivered(str(ack_id), delivery.message, delivery.attempt)

    def _close(self) -> None:
        self.backlog.clear()
        self.backlog.wake_consumers()
