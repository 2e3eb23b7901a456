"""Moves messages from publishers to consumers."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from tf_dataflow_serving.services.pubsub.catalog import Catalog
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock
from tf_dataflow_serving.services.pubsub.consumer import Consumer, FlowLimits
from tf_dataflow_serving.services.pubsub.deadlines import check_extension
from tf_dataflow_serving.services.pubsub.delivery import Delivered, Delivery
from tf_dataflow_serving.services.pubsub.message import Draft, Message, check_publication
from tf_dataflow_serving.services.pubsub.resources import Subscription
from tf_dataflow_serving.services.pubsub.timetable import Timetable, Wake

LEASE_RESOLUTION = SECOND // 10
EXPIRED_PER_TURN = 1_000
DELIVERED_BYTES = 4_000_000
"""Size of a response: gRPC clients, those of PUBSUB_EMULATOR_HOST too, take 4 MiB by default."""


class Broker:
    """Publish, deliver, acknowledge.

    Synchronous and for one thread. It never waits: consumers are woken when messages may be
    available, and `wake_timer` is called when `next_expiry` became earlier.
    """

    def __init__(self, clock: Clock, wake_timer: Wake) -> None:
        self._clock = clock
        self._leases: Timetable[Delivery] = Timetable(LEASE_RESOLUTION, wake_timer)
        self._sequences = count(1)
        self.catalog = Catalog(self._leases)

    def publish(self, topic_name: str, drafts: Sequence[Draft]) -> list[str]:
        """Publish messages and return their IDs; all of them or, with an error, none."""
        topic = self.catalog.topic(topic_name)
        check_publication(drafts)
        now = self._clock()
        messages = [Message(next(self._sequences), now, draft) for draft in drafts]
        topic.append(messages)
        return [message.message_id for message in messages]

    @contextmanager
    def receive(self, subscription_name: str, flow: FlowLimits, wake: Wake) -> Iterator["Receiver"]:
        """Let someone receive messages from a subscription for as long as the context lasts.

        What it holds at the end stays leased, and returns when the leases expire.
        """
        subscription = self.catalog.subscription(subscription_name)
        consumer = Consumer(flow, wake)
        subscription.backlog.attach(consumer)
        try:
            yield Receiver(subscription, consumer, self._clock)
        finally:
            subscription.backlog.detach(consumer)

    def acknowledge(self, subscription_name: str, ack_ids: Iterable[str]) -> None:
        """Acknowledge deliveries, expired ones too; none if one of the IDs is malformed."""
        subscription = self.catalog.subscription(subscription_name)
        for ack_id in [subscription.parse_ack_id(text) for text in ack_ids]:
            subscription.backlog.acknowledge(ack_id.sequence)

    def modify_ack_deadlines(
        self, subscription_name: str, changes: Iterable[tuple[str, int]]
    ) -> None:
        """Set the time left, in seconds from now, of leases by ack ID; 0 gives back.

        Leases that have ended stay so. Nothing is done if one of the values is invalid.
        """
        subscription = self.catalog.subscription(subscription_name)
        parsed = []
        for text, seconds in changes:
            check_extension(seconds)
            parsed.append((subscription.parse_ack_id(text), seconds))
        now = self._clock()
        for (_, sequence, attempt), seconds in parsed:
            if seconds:
                subscription.backlog.extend(sequence, attempt, now + seconds * SECOND)
            else:
                subscription.backlog.release(sequence, attempt)

    def expire_leases(self) -> None:
        """End some of the leases that are over; `next_expiry` tells whether there are more."""
        for delivery in self._leases.pop_due(self._clock(), EXPIRED_PER_TURN):
            delivery.owner.expire(delivery)

    def next_expiry(self) -> int | None:
        """Return the time, on the broker's clock, when a lease is over; None without leases."""
        return self._leases.next_due()


class Receiver:
    """One consumer's access to a subscription."""

    def __init__(self, subscription: Subscription, consumer: Consumer, clock: Clock) -> None:
        self.subscription = subscription
        self._consumer = consumer
        self._clock = clock

    def take(self, ack_deadline_seconds: int | None = None) -> list[Delivered]:
        """Lease what is available, for the subscription's ack deadline or the given one.

        Raises NotFound or FailedPrecondition once the subscription is deleted or detached.
        """
        if ack_deadline_seconds is None:
            ack_deadline_seconds = self.subscription.settings.ack_deadline_seconds
        deadline = self._clock() + ack_deadline_seconds * SECOND
        return self.subscription.take(self._consumer, deadline, DELIVERED_BYTES)
