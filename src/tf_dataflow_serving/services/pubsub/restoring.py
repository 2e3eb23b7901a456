"""Brings back what a store has kept."""

from tf_dataflow_serving.services.pubsub.backlog import Position
from tf_dataflow_serving.services.pubsub.catalog import Catalog
from tf_dataflow_serving.services.pubsub.log import Reader
from tf_dataflow_serving.services.pubsub.resources import Topic
from tf_dataflow_serving.services.pubsub.snapshots import Snapshots
from tf_dataflow_serving.services.pubsub.store.interface import (
    AckState,
    StoredState,
    SubscriptionRecord,
    TopicRecord,
)


def restore(state: StoredState, catalog: Catalog, snapshots: Snapshots) -> None:
    """Fill an empty catalog; all leases of the earlier process have ended."""
    topics = {record.serial: catalog.add_topic(record) for record in state.topics}
    starts = {serial: topic.end() for serial, topic in topics.items()}
    for record in state.topics:
        _fill(topics[record.serial], record, starts[record.serial], state)
    for subscription, acks in state.subscriptions:
        topic = topics[subscription.topic]
        _restore_subscription(subscription, acks, starts[topic.serial], topic, catalog)
    for snapshot, acks in state.snapshots:
        topic = topics[snapshot.topic]
        snapshots.add(snapshot, topic, _position(starts[topic.serial], topic, acks))


def _fill(topic: Topic, record: TopicRecord, start: Reader, state: StoredState) -> None:
    topic.append(state.messages.get(topic.serial, ()))
    if topic.history is not None:
        topic.history = _from(record.history_from, start)


def _restore_subscription(
    record: SubscriptionRecord, acks: AckState, start: Reader, topic: Topic, catalog: Catalog
) -> None:
    position = _position(start, topic, acks)
    subscription = catalog.add_subscription(record, topic, position.reader)
    if record.detached:
        subscription.detach()
        return
    subscription.backlog.reset(position)
    if subscription.history is not None:
        subscription.history = _from(record.history_from, start)


def _position(start: Reader, topic: Topic, acks: AckState) -> Position:
    """Return what is owed, with a reader that stands after the last message acknowledged."""
    # The messages up to the floor may be gone from the store, and with them their numbers.
    topic.log.last_sequence = max(topic.log.last_sequence, acks.floor)
    reader = _from(acks.floor + 1, start)
    owed = []
    last = max(acks.acknowledged, default=acks.floor)
    while reader.next_sequence <= last and (message := reader.read()) is not None:
        if message.sequence not in acks.acknowledged:
            owed.append(message)
    return Position(tuple(owed), reader)


def _from(sequence: int, start: Reader) -> Reader:
    """Return a reader of what has this number or a higher one."""
    reader = start.copy()
    while reader.pending and reader.next_sequence < sequence:
        reader.read()
    return reader
