"""The snapshots that exist, by name."""

from collections.abc import Mapping
from dataclasses import replace

from tf_dataflow_serving.services.pubsub import limits, names
from tf_dataflow_serving.services.pubsub.backlog import Position
from tf_dataflow_serving.services.pubsub.catalog import of_project
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock
from tf_dataflow_serving.services.pubsub.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.pubsub.resources import Snapshot, Subscription, Topic
from tf_dataflow_serving.services.pubsub.serials import Serials
from tf_dataflow_serving.services.pubsub.settings import check_labels
from tf_dataflow_serving.services.pubsub.store.interface import SnapshotRecord, Store

_LIFETIME = limits.SNAPSHOT_LIFETIME_SECONDS * SECOND
_MIN_LIFETIME = limits.MIN_SNAPSHOT_LIFETIME_SECONDS * SECOND


class Snapshots:
    """Creates, finds, changes and deletes snapshots; those that have expired are not found.

    Every method raises InvalidArgument for a malformed name and NotFound for an unknown one.
    Source of lifetimes: `Snapshot.expire_time` in google/pubsub/v1/pubsub.proto.
    """

    def __init__(self, clock: Clock, serials: Serials, store: Store) -> None:
        self._clock = clock
        self._serials = serials
        self._store = store
        self._snapshots: dict[str, Snapshot] = {}

    def create(self, name: str, subscription: Subscription, labels: Mapping[str, str]) -> Snapshot:
        """Keep what a subscription owes now, and what is published after that.

        Raises AlreadyExists, and FailedPrecondition if the snapshot would expire too soon.
        """
        names.check_snapshot(name)
        check_labels(labels)
        self.forget_expired()
        if name in self._snapshots:
            raise AlreadyExists(name)
        subscription.check_attached()
        expire_time = self._expire_time(subscription)
        position = subscription.backlog.position()
        serial, topic = next(self._serials), subscription.topic
        record = SnapshotRecord(serial, name, topic.serial, expire_time, labels)
        with self._store.transaction():
            self._store.raise_floor(subscription.serial, position.floor)
            self._store.add_snapshot(record, subscription.serial)
        return self.add(record, topic, position)

    def add(self, record: SnapshotRecord, topic: Topic, position: Position) -> Snapshot:
        """Take in a snapshot that is kept already."""
        snapshot = self._snapshots[record.name] = Snapshot(record, topic, position)
        return snapshot

    def get(self, name: str) -> Snapshot:
        """Return the snapshot of this name."""
        self.forget_expired()
        snapshot = self._snapshots.get(name)
        if snapshot is None:
            names.check_snapshot(name)
            raise NotFound(name)
        return snapshot

    def all(self) -> list[Snapshot]:
        """Return the snapshots of all projects."""
        return list(self._snapshots.values())

    def of_project(self, project: str) -> list[Snapshot]:
        """Return the snapshots of `projects/{project}` in the order of their names."""
        self.forget_expired()
        return of_project(self._snapshots, project)

    def of_topic(self, topic: Topic) -> list[Snapshot]:
        """Return the snapshots of a topic's messages in the order of their names."""
        self.forget_expired()
        found = [one for one in self._snapshots.values() if one.topic is topic]
        return sorted(found, key=lambda snapshot: snapshot.name)

    def update(self, name: str, labels: Mapping[str, str], expire_time: int) -> Snapshot:
        """Change what the owner may choose; `expire_time` in nanoseconds since the Unix epoch."""
        snapshot = self.get(name)
        check_labels(labels)
        now = self._clock()
        if not now < expire_time <= now + _LIFETIME:
            raise InvalidArgument("A snapshot's expire_time must be within the next 7 days.")
        record = replace(snapshot.record, labels=labels, expire_time=expire_time)
        self._store.save_snapshot(record)
        snapshot.record = record
        return snapshot

    def delete(self, name: str) -> None:
        """Delete a snapshot and let go of its messages."""
        snapshot = self.get(name)
        self._store.delete_snapshot(snapshot.record.serial)
        del self._snapshots[name]

    def forget_expired(self) -> None:
        """Delete the snapshots whose time is over."""
        now = self._clock()
        for snapshot in [one for one in self._snapshots.values() if one.record.expire_time <= now]:
            self._store.delete_snapshot(snapshot.record.serial)
            del self._snapshots[snapshot.name]

    def _expire_time(self, subscription: Subscription) -> int:
        now = self._clock()
        oldest = subscription.backlog.oldest_time()
        expire_time = (now if oldest is None else oldest) + _LIFETIME
        if expire_time < now + _MIN_LIFETIME:
            raise FailedPrecondition(
                "The oldest unacknowledged message of the subscription is so old that the "
                "snapshot would expire in less than 1 hour."
            )
        return expire_time
