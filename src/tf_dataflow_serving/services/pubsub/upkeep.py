"""What a broker does from time to time, whether or not anybody asks."""

from collections import defaultdict

from tf_dataflow_serving.services.pubsub.catalog import Catalog
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock
from tf_dataflow_serving.services.pubsub.resources import Subscription, Topic
from tf_dataflow_serving.services.pubsub.snapshots import Snapshots
from tf_dataflow_serving.services.pubsub.store.interface import Store

INTERVAL = 10 * SECOND


class Upkeep:
    """Lets go of what is past its retention or expiration, in memory and in the store."""

    def __init__(self, clock: Clock, catalog: Catalog, snapshots: Snapshots, store: Store) -> None:
        self._clock = clock
        self._catalog = catalog
        self._snapshots = snapshots
        self._store = store
        self.next_due = clock() + INTERVAL

    def run(self) -> None:
        """Do everything once; `next_due` is then the time to do it again."""
        now = self._clock()
        self.next_due = now + INTERVAL
        self._snapshots.forget_expired()
        for topic in self._catalog.all_topics():
            topic.forget_old(now)
        for subscription in self._catalog.all_subscriptions():
            self._tend(subscription, now)
        with self._store.transaction():
            self._trim_store()

    def _tend(self, subscription: Subscription, now: int) -> None:
        if _has_expired(subscription, now):
            self._catalog.delete_subscription(subscription.name)
        elif not subscription.detached:
            subscription.forget_old(now)
            subscription.backlog.drop_old()

    def _trim_store(self) -> None:
        """Delete from the store the messages that nobody can ask for any more."""
        needed: dict[Topic, list[int]] = defaultdict(list)
        for topic in self._catalog.all_topics():
            needed[topic].append(topic.log.last_sequence + 1)
            if topic.history is not None:
                needed[topic].append(topic.history.next_sequence)
        for subscription in self._catalog.all_subscriptions():
            if not subscription.detached:
                floor = subscription.backlog.floor()
                self._store.raise_floor(subscription.serial, floor)
                needed[subscription.topic].append(floor + 1)
                if subscription.history is not None:
                    needed[subscription.topic].append(subscription.history.next_sequence)
        for snapshot in self._snapshots.all():
            needed[snapshot.topic].append(snapshot.position.floor + 1)
        for topic, sequences in needed.items():
            self._store.delete_messages(topic.serial, before=min(sequences))


def _has_expired(subscription: Subscription, now: int) -> bool:
    expiration = subscription.settings.expiration
    if expiration is None or subscription.backlog.has_consumers:
        return False
    return now - subscription.active_at >= expiration
