"""Between the rows of the SQLite file and what the broker keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

import orjson

from tf_dataflow_serving.services.pubsub.message import Draft, Message
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    RetryPolicy,
    SubscriptionSettings,
    TopicSettings,
)
from tf_dataflow_serving.services.pubsub.store.interface import (
    SnapshotRecord,
    SubscriptionRecord,
    TopicRecord,
)
from tf_dataflow_serving.services.pubsub.store.schema import DataDirectoryRefused

Row = Sequence[Any]

Settings = TypeVar("Settings", TopicSettings, SubscriptionSettings, RetryPolicy, DeadLetterPolicy)


def topic_row(record: TopicRecord) -> Row:
    """Return serial, name, settings, deleted, history_from."""
    settings = _json(asdict(record.settings))
    return record.serial, record.name, settings, record.deleted, record.history_from


def topic_record(row: Row) -> TopicRecord:
    """Read what `topic_row` returned; raises DataDirectoryRefused for unknown settings."""
    serial, name, text, deleted, history_from = row
    settings = _settings(TopicSettings, orjson.loads(text))
    return TopicRecord(serial, name, settings, bool(deleted), history_from)


def subscription_row(record: SubscriptionRecord) -> Row:
    """Return serial, name, topic, settings, detached, history_from, first_lease."""
    return (
        record.serial,
        record.name,
        record.topic,
        _json(asdict(record.settings)),
        record.detached,
        record.history_from,
        record.first_lease,
    )


def subscription_record(row: Row) -> SubscriptionRecord:
    """Read what `subscription_row` returned; raises DataDirectoryRefused for unknown settings."""
    serial, name, topic, text, detached, *numbers = row
    settings = _subscription_settings(orjson.loads(text))
    return SubscriptionRecord(serial, name, topic, settings, bool(detached), *numbers)


def snapshot_row(record: SnapshotRecord) -> Row:
    """Return serial, name, topic, expire_time, labels."""
    labels = _json(record.labels)
    return record.serial, record.name, record.topic, record.expire_time, labels


def snapshot_record(row: Row) -> SnapshotRecord:
    """Read what `snapshot_row` returned."""
    serial, name, topic, expire_time, labels = row
    return SnapshotRecord(serial, name, topic, expire_time, orjson.loads(labels))


def message_row(topic: int, message: Message) -> Row:
    """Return sequence, topic, publish_time, data, attributes, ordering_key."""
    sequence, publish_time, (data, attributes, ordering_key) = message
    return sequence, topic, publish_time, data, _json(attributes), ordering_key


def message(row: Row) -> Message:
    """Read sequence, publish_time, data, attributes, ordering_key."""
    sequence, publish_time, data, attributes, ordering_key = row
    return Message(sequence, publish_time, Draft(data, orjson.loads(attributes), ordering_key))


def _json(values: Mapping[str, Any]) -> str:
    return orjson.dumps(values).decode()


def _subscription_settings(values: dict[str, Any]) -> SubscriptionSettings:
    if retry_policy := values.get("retry_policy"):
        values["retry_policy"] = _settings(RetryPolicy, retry_policy)
    if dead_letter_policy := values.get("dead_letter_policy"):
        values["dead_letter_policy"] = _settings(DeadLetterPolicy, dead_letter_policy)
    return _settings(SubscriptionSettings, values)


def _settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    unknown = values.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise DataDirectoryRefused(
            "The data directory was used by another version of this emulator: it holds "
            f"{kind.__name__} with {', '.join(sorted(unknown))}."
        )
    return kind(**values)
