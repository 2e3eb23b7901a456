"""Between protobuf messages and the broker's values: topics, subscriptions, snapshots.

A field of a request that the emulator does not heed is refused: it never stays without effect.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask  # type: ignore[import-untyped]

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.pubsub.protocol import wire
from tf_dataflow_serving.services.pubsub.protocol.codec import nanoseconds
from tf_dataflow_serving.services.pubsub.resources import Snapshot, Subscription, Topic
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    RetryPolicy,
    SubscriptionSettings,
    TopicSettings,
)

_TOPIC_FIELDS = {"name", "labels", "message_retention_duration", "satisfies_pzs", "state"}
_SUBSCRIPTION_FIELDS = {
    "name",
    "topic",
    "ack_deadline_seconds",
    "labels",
    "enable_message_ordering",
    "filter",
    "enable_exactly_once_delivery",
    "retain_acked_messages",
    "message_retention_duration",
    "expiration_policy",
    "retry_policy",
    "dead_letter_policy",
    "detached",
    "topic_message_retention_duration",
    "state",
    "analytics_hub_subscription_info",
}
"""What the emulator heeds, and what only the service may set: it is ignored in requests."""

_SNAPSHOT_FIELDS = {"name", "subscription", "labels"}

_NOTHING_WHEN_EMPTY = {
    "push_config",
    "bigquery_config",
    "cloud_storage_config",
    "bigtable_config",
    "message_storage_policy",
    "schema_settings",
    "ingestion_data_source_settings",
}
"""An empty message here asks for what the emulator does anyway: pull, no policy, no schema."""

_IMMUTABLE = {
    "name",
    "topic",
    "filter",
    "enable_message_ordering",
    "detached",
    "state",
    "topic_message_retention_duration",
    "analytics_hub_subscription_info",
    "satisfies_pzs",
}
"""What is fixed at creation, and what only the service may set."""


def topic_settings(topic: wire.Proto) -> TopicSettings:
    """Read a Topic; raises Unsupported for a setting that would have no effect."""
    _refuse_others(topic, _TOPIC_FIELDS, "Topic")
    return TopicSettings(labels=dict(topic.labels), retention=_topic_retention(topic))


def subscription_settings(subscription: wire.Proto) -> SubscriptionSettings:
    """Read a Subscription; raises Unsupported for a setting that would have no effect."""
    _refuse_others(subscription, _SUBSCRIPTION_FIELDS, "Subscription")
    return SubscriptionSettings(
        ack_deadline_seconds=(
            subscription.ack_deadline_seconds or limits.DEFAULT_ACK_DEADLINE_SECONDS
        ),
        labels=dict(subscription.labels),
        enable_message_ordering=subscription.enable_message_ordering,
        filter=subscription.filter,
        enable_exactly_once_delivery=subscription.enable_exactly_once_delivery,
        retain_acked_messages=subscription.retain_acked_messages,
        retention=_retention(subscription),
        expiration=_expiration(subscription),
        retry_policy=_retry_policy(subscription),
        dead_letter_policy=_dead_letter_policy(subscription),
    )


def snapshot_labels(request: wire.Proto) -> Mapping[str, str]:
    """Read a CreateSnapshotRequest; raises Unsupported for what would have no effect."""
    _refuse_others(request, _SNAPSHOT_FIELDS, "CreateSnapshotRequest")
    return dict(request.labels)


def updated_topic(topic: Topic, request: wire.Proto) -> TopicSettings:
    """Read an UpdateTopicRequest: the settings that the topic has then."""
    return topic_settings(_merged(encode_topic(topic), request.topic, request.update_mask))


def updated_subscription(subscription: Subscription, request: wire.Proto) -> SubscriptionSettings:
    """Read an UpdateSubscriptionRequest: the settings that the subscription has then."""
    current = encode_subscription(subscription)
    return subscription_settings(_merged(current, request.subscription, request.update_mask))


def updated_snapshot(snapshot: Snapshot, request: wire.Proto) -> tuple[Mapping[str, str], int]:
    """Read an UpdateSnapshotRequest: the labels and the expire time that it has then."""
    merged = _merged(encode_snapshot(snapshot), request.snapshot, request.update_mask)
    return dict(merged.labels), nanoseconds(merged.expire_time)


def encode_topic(topic: Topic) -> wire.Proto:
    """Write a Topic."""
    encoded = wire.Topic(name=topic.name, labels=topic.settings.labels, state=wire.ACTIVE)
    if topic.settings.retention is not None:
        encoded.message_retention_duration.FromNanoseconds(topic.settings.retention)
    return encoded


def encode_subscription(subscription: Subscription) -> wire.Proto:
    """Write a Subscription."""
    settings = subscription.settings
    encoded = wire.Subscription(
        name=subscription.name,
        topic=subscription.topic.name,
        ack_deadline_seconds=settings.ack_deadline_seconds,
        labels=settings.labels,
        enable_message_ordering=settings.enable_message_ordering,
        filter=settings.filter,
        enable_exactly_once_delivery=settings.enable_exactly_once_delivery,
        retain_acked_messages=settings.retain_acked_messages,
        detached=subscription.detached,
        state=wire.ACTIVE,
    )
    encoded.message_retention_duration.FromNanoseconds(settings.retention)
    topic_retention = subscription.topic.settings.retention
    if topic_retention is not None:
        encoded.topic_message_retention_duration.FromNanoseconds(topic_retention)
    _encode_policies(encoded, settings)
    return encoded


def encode_snapshot(snapshot: Snapshot) -> wire.Proto:
    """Write a Snapshot."""
    encoded = wire.Snapshot(
        name=snapshot.name, topic=snapshot.topic.name, labels=snapshot.record.labels
    )
    encoded.expire_time.FromNanoseconds(snapshot.record.expire_time)
    return encoded


def _topic_retention(topic: wire.Proto) -> int | None:
    if not topic.HasField("message_retention_duration"):
        return None
    return nanoseconds(topic.message_retention_duration)


def _retention(subscription: wire.Proto) -> int:
    if not subscription.HasField("message_retention_duration"):
        return limits.DEFAULT_RETENTION_SECONDS * SECOND
    return nanoseconds(subscription.message_retention_duration)


def _expiration(subscription: wire.Proto) -> int | None:
    if not subscription.HasField("expiration_policy"):
        return limits.DEFAULT_EXPIRATION_SECONDS * SECOND
    policy = subscription.expiration_policy
    return nanoseconds(policy.ttl) if policy.HasField("ttl") else None


def _retry_policy(subscription: wire.Proto) -> RetryPolicy | None:
    if not subscription.HasField("retry_policy"):
        return None
    given = subscription.retry_policy
    return RetryPolicy(
        **{
            name: nanoseconds(getattr(given, name))
            for name in ("minimum_backoff", "maximum_backoff")
            if given.HasField(name)
        }
    )


def _dead_letter_policy(subscription: wire.Proto) -> DeadLetterPolicy | None:
    given = subscription.dead_letter_policy
    if not given.ByteSize():
        return None
    if not given.dead_letter_topic:
        raise InvalidArgument("A dead_letter_policy must name its dead_letter_topic.")
    attempts = given.max_delivery_attempts or limits.DEFAULT_DELIVERY_ATTEMPTS
    return DeadLetterPolicy(given.dead_letter_topic, attempts)


def _encode_policies(encoded: wire.Proto, settings: SubscriptionSettings) -> None:
    encoded.push_config.SetInParent()
    encoded.expiration_policy.SetInParent()
    if settings.expiration is not None:
        encoded.expiration_policy.ttl.FromNanoseconds(settings.expiration)
    if settings.retry_policy is not None:
        retry = encoded.retry_policy
        retry.minimum_backoff.FromNanoseconds(settings.retry_policy.minimum_backoff)
        retry.maximum_backoff.FromNanoseconds(settings.retry_policy.maximum_backoff)
    if settings.dead_letter_policy is not None:
        encoded.dead_letter_policy.dead_letter_topic = settings.dead_letter_policy.topic
        attempts = settings.dead_letter_policy.max_delivery_attempts
        encoded.dead_letter_policy.max_delivery_attempts = attempts


def _refuse_others(resource: wire.Proto, heeded: set[str], kind: str) -> None:
    for descriptor, value in resource.ListFields():
        if descriptor.name not in heeded and not _asks_nothing(descriptor.name, value):
            raise Unsupported(f"{kind}.{descriptor.name}")


def _asks_nothing(name: str, value: Any) -> bool:
    return name in _NOTHING_WHEN_EMPTY and not value.ByteSize()


def _merged(current: wire.Proto, given: wire.Proto, mask: wire.Proto) -> wire.Proto:
    """Return the resource as it is, with what the mask names as it is given."""
    if not mask.paths:
        raise InvalidArgument("The update_mask in the request must be specified and non-empty.")
    for path in mask.paths:
        _check_path(path, given)
    mask.MergeMessage(given, current, True, True)
    return current


def _check_path(path: str, resource: wire.Proto) -> None:
    if not FieldMask(paths=[path]).IsValidForDescriptor(resource.DESCRIPTOR):
        raise InvalidArgument(f"Invalid update_mask provided in the request: {path} is no field.")
    field, dot, _ = path.partition(".")
    if field in _IMMUTABLE:
        raise InvalidArgument(f"Invalid update_mask provided in the request: {path} is immutable.")
    if dot and not resource.HasField(field):
        raise InvalidArgument(f"The update_mask names {path}, but the request has no {field}.")
