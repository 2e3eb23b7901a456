"""Moves messages from publishers to consumers."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tf_dataflow_serving.services.pubsub.backlog import Position
from tf_dataflow_serving.services.pubsub.catalog import Catalog
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock
from tf_dataflow_serving.services.pubsub.consumer import Consumer, FlowLimits
from tf_dataflow_serving.services.pubsub.dead_letters import dead_letter, is_dead
from tf_dataflow_serving.services.pubsub.deadlines import check_extension
from tf_dataflow_serving.services.pubsub.delivery import Delivered, Delivery
from tf_dataflow_serving.services.pubsub.errors import (
    FailedPrecondition,
    InvalidAckIds,
    NotFound,
    StorageFailed,
)
from tf_dataflow_serving.services.pubsub.journal import Journal
from tf_dataflow_serving.services.pubsub.message import Draft, Message, check_publication
from tf_dataflow_serving.services.pubsub.resources import Subscription, Topic
from tf_dataflow_serving.services.pubsub.restoring import restore
from tf_dataflow_serving.services.pubsub.serials import Serials
from tf_dataflow_serving.services.pubsub.snapshots import Snapshots
from tf_dataflow_serving.services.pubsub.store.interface import Store
from tf_dataflow_serving.services.pubsub.timetable import Timetable, Wake
from tf_dataflow_serving.services.pubsub.upkeep import Upkeep

_log = logging.getLogger(__name__)

LEASE_RESOLUTION = SECOND // 10
EXPIRED_PER_TURN = 200
DELIVERED_BYTES = 4_000_000
"""Size of a response: gRPC clients, those of PUBSUB_EMULATOR_HOST too, take 4 MiB by default."""


class Broker:
    """Publish, deliver, acknowledge, seek.

    Synchronous and for one thread. It never waits: consumers are woken when messages may be
    available, and `wake_timer` is called when `next_due` became earlier. What it answers with
    success is in the store; when the store fails, nothing has changed.
    """

    def __init__(
        self,
        clock: Clock,
        wake_timer: Wake,
        store: Store | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._clock = clock
        self._store = store or Store()
        self._times: Timetable[Delivery] = Timetable(LEASE_RESOLUTION, wake_timer)
        kept = self._store.load()
        self._serials = Serials(clock(), kept.reserved, self._store.reserve)
        self._watchers: list[Wake] = []
        self.journal = journal or Journal(capacity=0)
        self.catalog = Catalog(clock, self._serials, self._store, self._times, self._bury)
        self.catalog.on_removal = self._tell_watchers
        self.snapshots = Snapshots(clock, self._serials, self._store)
        restore(kept, self.catalog, self.snapshots)
        self._upkeep = Upkeep(clock, self.catalog, self.snapshots, self._store)

    def publish(self, topic_name: str, drafts: Sequence[Draft]) -> list[str]:
        """Publish messages and return their IDs; all of them or, with an error, none."""
        topic = self.catalog.topic(topic_name)
        check_publication(drafts)
        messages = self._messages(drafts)
        self._store.append(topic.serial, messages)
        self._deliver(topic, messages)
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
            yield Receiver(subscription, consumer, self._clock, self._serials, self.journal)
        finally:
            subscription.active_at = self._clock()
            subscription.backlog.detach(consumer)

    def acknowledge(self, subscription_name: str, ack_ids: Iterable[str]) -> None:
        """Acknowledge deliveries, expired ones too; none if one of the IDs is malformed.

        With exactly-once delivery it raises InvalidAckIds for those that have expired; the
        others are acknowledged all the same.
        """
        subscription = self._used(subscription_name)
        find = subscription.finder()
        found: dict[int, Delivery] = {}
        refused: list[str] = []
        for text, ack_id in [(text, subscription.parse_ack_id(text)) for text in ack_ids]:
            delivery = find(ack_id)
            if delivery is None:
                refused.append(text)
            else:
                found[ack_id.sequence] = delivery
        self._store.acknowledge(subscription.serial, list(found))
        for delivery in found.values():
            subscription.backlog.acknowledge(delivery)
        self._tell_watchers()
        _check_refused(subscription, refused)

    def modify_ack_deadlines(
        self, subscription_name: str, changes: Iterable[tuple[str, int]]
    ) -> None:
        """Set the time left, in seconds from now, of leases by ack ID; 0 gives back.

        Leases that have ended stay so; with exactly-once delivery it then raises
        InvalidAckIds. Nothing is done if one of the values is invalid.
        """
        subscription = self._used(subscription_name)
        wanted = dict(changes)
        for seconds in wanted.values():
            check_extension(seconds)
        # All leases as they are now: one that is given back may end others of its order.
        found = {text: subscription.find_leased(subscription.parse_ack_id(text)) for text in wanted}
        now = self._clock()
        for text, delivery in found.items():
            if delivery is not None:
                _modify(subscription, delivery, wanted[text], now)
        self._tell_watchers()
        _check_refused(subscription, [text for text in found if found[text] is None])

    def seek_to_time(self, subscription_name: str, time: int) -> None:
        """Settle what was published before `time`, and owe all that is retained from then on.

        `time` is in nanoseconds since the Unix epoch. All leases of the subscription end.
        """
        subscription = self._used(subscription_name)
        subscription.check_attached()
        subscription.topic.forget_old(self._clock())
        subscription.forget_old(self._clock())
        self._move({subscription: subscription.rewound(time)})

    def seek_to_snapshot(self, subscription_name: str, snapshot_name: str) -> None:
        """Owe what the snapshot holds, and what was published after it; all leases end.

        Raises FailedPrecondition for a snapshot of another topic.
        """
        subscription = self._used(subscription_name)
        subscription.check_attached()
        snapshot = self.snapshots.get(snapshot_name)
        if snapshot.topic is not subscription.topic:
            raise FailedPrecondition(
                f"The snapshot is not of the subscription's topic (resource={snapshot_name})."
            )
        first_lease = next(self._serials)
        with self._store.transaction():
            self._store.save_subscription(replace(subscription.record, first_lease=first_lease))
            self._store.seek_to_snapshot(subscription.serial, snapshot.record.serial)
        subscription.seek(snapshot.position, first_lease)
        self._tell_watchers()

    def clear(self, subscription_name: str | None = None) -> None:
        """Drop the backlog of a subscription; without a name every backlog, and the journal."""
        if subscription_name is not None:
            self._drop_backlogs([self.catalog.subscription(subscription_name)])
            return
        self._drop_backlogs(self.catalog.all_subscriptions())
        self.journal.clear()

    @contextmanager
    def watch(self, wake: Wake) -> Iterator[None]:
        """Call `wake` after whatever may have emptied a backlog, as long as the context lasts."""
        self._watchers.append(wake)
        try:
            yield
        finally:
            self._watchers.remove(wake)

    def run_due(self) -> None:
        """Do some of what is due; `next_due` tells whether there is more."""
        now = self._clock()
        done = 0
        for delivery in self._times.pop_due(now, EXPIRED_PER_TURN):
            delivery.owner.due(delivery, now)
            done += 1
        # What came back just now may be past its retention.
        if done < EXPIRED_PER_TURN and self._upkeep.next_due <= now:
            self._upkeep.run()
        self._tell_watchers()

    def next_due(self) -> int:
        """Return the time, on the broker's clock, at which something is to be done."""
        due = self._times.next_due()
        return self._upkeep.next_due if due is None else min(due, self._upkeep.next_due)

    def _used(self, subscription_name: str) -> Subscription:
        subscription = self.catalog.subscription(subscription_name)
        subscription.active_at = self._clock()
        return subscription

    def _messages(self, drafts: Sequence[Draft]) -> list[Message]:
        now = self._clock()
        return [Message(next(self._serials), now, draft) for draft in drafts]

    def _deliver(self, topic: Topic, messages: Sequence[Message]) -> None:
        self.journal.published(topic.name, messages)
        topic.append(messages)

    def _bury(self, subscription: Subscription, delivery: Delivery) -> bool:
        """Publish a dead letter to its topic; while there is none, it is delivered again."""
        policy = subscription.settings.dead_letter_policy
        if policy is None or not is_dead(delivery, policy):
            return False
        try:
            topic = self.catalog.topic(policy.topic)
            letters = self._messages([dead_letter(subscription.name, delivery)])
            with self._store.transaction():
                self._store.append(topic.serial, letters)
                self._store.acknowledge(subscription.serial, [delivery.message.sequence])
        except (NotFound, StorageFailed) as error:
            _log.warning("dead letter of %s stays: %s", subscription.name, error)
            return False
        self._deliver(topic, letters)
        return True

    def _drop_backlogs(self, subscriptions: Iterable[Subscription]) -> None:
        self._move(
            {one: Position((), one.topic.end()) for one in subscriptions if not one.detached}
        )

    def _move(self, positions: Mapping[Subscription, Position]) -> None:
        """Let subscriptions owe something else from now on, all of them or none."""
        first_lease = next(self._serials)
        with self._store.transaction():
            for subscription, position in positions.items():
                record = replace(subscription.record, first_lease=first_lease)
                self._store.save_subscription(record)
                replay_from = position.reader.next_sequence
                self._store.seek(subscription.serial, position.floor, replay_from)
        for subscription, position in positions.items():
            subscription.seek(position, first_lease)
        self._tell_watchers()

    def _tell_watchers(self) -> None:
        for wake in self._watchers:
            wake()


class Receiver:
    """One consumer's access to a subscription."""

    def __init__(
        self,
        subscription: Subscription,
        consumer: Consumer,
        clock: Clock,
        serials: Serials,
        journal: Journal,
    ) -> None:
        self.subscription = subscription
        self._consumer = consumer
        self._clock = clock
        self._serials = serials
        self._journal = journal

    def take(self, ack_deadline_seconds: int | None = None) -> list[Delivered]:
        """Lease what is available, for the subscription's ack deadline or the given one.

        Raises NotFound or FailedPrecondition once the subscription is deleted or detached.
        """
        if ack_deadline_seconds is None:
            ack_deadline_seconds = self.subscription.settings.ack_deadline_seconds
        now = self._clock()
        deadline = now + ack_deadline_seconds * SECOND
        self.subscription.use(now)
        taken = self.subscription.backlog.take(
            self._consumer, deadline, DELIVERED_BYTES, self._serials
        )
        for delivery in taken:
            if delivery.attempt == 1:
                self._journal.delivered(self.subscription.name, delivery)
        return [self.subscription.delivered(delivery) for delivery in taken]


def _modify(subscription: Subscription, delivery: Delivery, seconds: int, now: int) -> None:
    if not seconds:
        subscription.backlog.take_back(delivery, now)
    elif delivery.holder is not None:
        subscription.backlog.extend(delivery, now + seconds * SECOND)


def _check_refused(subscription: Subscription, refused: Sequence[str]) -> None:
    if refused and subscription.settings.enable_exactly_once_delivery:
        raise InvalidAckIds(refused)
