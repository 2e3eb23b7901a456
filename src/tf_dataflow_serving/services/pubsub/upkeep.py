"""What a broker does from time to time, whether or not anybody asks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice

from tf_dataflow_serving.services.pubsub.catalog import Catalog
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock
from tf_dataflow_serving.services.pubsub.resources import Subscription, Topic
from tf_dataflow_serving.services.pubsub.snapshots import Snapshots
from tf_dataflow_serving.services.pubsub.store.interface import Store

INTERVAL = 10 * SECOND
RESOURCES_PER_TURN = 20
"""Topics and subscriptions that are looked after at once: others wait meanwhile."""


class Upkeep:
    """Lets go of what is past its retention or expiration, in memory and in the store.

    It goes round in small steps; until a round is done, `next_due` stays in the past.
    """

    def __init__(self, clock: Clock, catalog: Catalog, snapshots: Snapshots, store: Store) -> None:
        self._clock = clock
        self._catalog = catalog
        self._snapshots = snapshots
        self._store = store
        self._round = self._steps()
        self.next_due = clock() + INTERVAL

    def run(self) -> None:
        """Go on with a round."""
        done = sum(1 for _ in islice(self._round, RESOURCES_PER_TURN)) < RESOURCES_PER_TURN
        if done:
            self._round = self._steps()
            self.next_due = self._clock() + INTERVAL

    def _steps(self) -> Iterator[None]:
        now = self._clock()
        self._snapshots.forget_expired()
        for topic in self._catalog.all_topics():
            topic.forget_old(now)
            yield
        for subscription in self._catalog.all_subscriptions():
            yield from self._tend(subscription, now)
        yield from self._trim_store()

    def _tend(self, subscription: Subscription, now: int) -> Iterator[None]:
        if subscription.deleted:  # since this round began
            return
        if _has_expired(subscription, now):
            self._catalog.delete_subscription(subscription.name)
        elif not subscription.detached:
            subscription.forget_old(now)
            while subscription.backlog.drop_old():
                yield
        yield

    def _trim_store(self) -> Iterator[None]:
        """Delete from the store the messages that nobody can ask for any more."""
        needed = self._needed()
        for subscription in self._catalog.all_subscriptions():
            if not subscription.detached:
                self._store.raise_floor(subscription.serial, subscription.backlog.floor())
                yield
        for topic, sequence in needed.items():
            self._store.delete_messages(topic.serial, before=sequence)
            yield

    def _needed(self) -> Mapping[Topic, int]:
        """Return by topic the lowest sequence that somebody can still ask for."""
        needed: dict[Topic, list[int]] = defaultdict(list)
        for topic in self._catalog.all_topics():
            needed[topic].append((topic.history or topic.end()).next_sequence)
        for subscription in self._catalog.all_subscriptions():
            if not subscription.detached:
                needed[subscription.topic].append(subscription.backlog.floor() + 1)
                if subscription.history is not None:
                    needed[subscription.topic].append(subscription.history.next_sequence)
        for snapshot in self._snapshots.all():
            needed[snapshot.topic].append(snapshot.position.floor + 1)
        return {topic: min(sequences) for topic, sequences in needed.items()}


def _has_expired(subscription: Subscription, now: int) -> bool:
    expiration = subscription.settings.expiration
    if expiration is None or subscription.backlog.has_consumers:
        return False
    return now - subscription.active_at >= expiration
