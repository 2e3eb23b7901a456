"""Brings back what a store has kept."""

from collections.abc import Iterable

from tf_dataflow_serving.services.pubsub.backlog import Position
from tf_dataflow_serving.services.pubsub.catalog import Catalog
from tf_dataflow_serving.services.pubsub.log import Reader
from tf_dataflow_serving.services.pubsub.message import Message
from tf_dataflow_serving.services.pubsub.resources import Topic
from tf_dataflow_serving.services.pubsub.serials import Serials
from tf_dataflow_serving.services.pubsub.snapshots import Snapshots
from tf_dataflow_serving.services.pubsub.store.interface import (
    AckState,
    StoredState,
    SubscriptionRecord,
)


def restore(state: StoredState, catalog: Catalog, snapshots: Snapshots, serials: Serials) -> None:
    """Fill an empty catalog; all leases of the earlier process have ended."""
    serials.start_after(_highest(state))
    topics = {record.serial: catalog.add_topic(record) for record in state.topics}
    starts = {serial: Reader(topic.log) for serial, topic in topics.items()}
    for serial, messages in state.messages.items():
        _fill(topics[serial], starts[serial], messages)
    for record, acks in state.subscriptions:
        _restore_subscription(record, acks, starts[record.topic], topics[record.topic], catalog)
    for snapshot, acks in state.snapshots:
        topic = topics[snapshot.topic]
        snapshots.add(snapshot, topic, _position(starts[snapshot.topic], topic, acks))


def _highest(state: StoredState) -> int:
    numbers = [topic.serial for topic in state.topics]
    numbers += [subscription.serial for subscription, _ in state.subscriptions]
    numbers += [snapshot.serial for snapshot, _ in state.snapshots]
    numbers += [acks.floor for _, acks in (*state.subscriptions, *state.snapshots)]
    numbers += [messages[-1].sequence for messages in state.messages.values() if messages]
    return max(numbers, default=0)


def _fill(topic: Topic, start: Reader, messages: Iterable[Message]) -> None:
    topic.append(messages)
    if topic.history is not None:
        topic.history = start.copy()


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
        subscription.history = _since_creation(record, start)


def _position(start: Reader, topic: Topic, acks: AckState) -> Position:
    """Return what is owed, all of it as read: ack IDs of the earlier process may name it."""
    # The messages up to the floor may be gone from the store, and with them their numbers.
    topic.log.last_sequence = max(topic.log.last_sequence, acks.floor)
    return Position(tuple(message for message in start if _is_owed(message, acks)), topic.end())


def _is_owed(message: Message, acks: AckState) -> bool:
    return message.sequence > acks.floor and message.sequence not in acks.acknowledged


def _since_creation(record: SubscriptionRecord, start: Reader) -> Reader:
    """Return the first message of a subscription, whose serial is lower than the message's."""
    history = start.copy()
    while history.pending and history.next_sequence < record.serial:
        history.read()
    return history
