"""Between protobuf messages and the broker's values."""

from collections.abc import Iterable, Mapping
from typing import Any

from tf_dataflow_serving.services.pubsub import limits, wire
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.resources import (
    Subscription,
    SubscriptionSettings,
    Topic,
    TopicSettings,
)

_TOPIC_FIELDS = {"name", "labels", "satisfies_pzs", "state"}
_SUBSCRIPTION_FIELDS = {
    "name",
    "topic",
    "ack_deadline_seconds",
    "labels",
    "enable_message_ordering",
    "filter",
    "detached",
    "topic_message_retention_duration",
    "state",
    "analytics_hub_subscription_info",
}
"""What the emulator heeds, and what only the service may set: it is ignored in requests."""

_NOTHING_WHEN_EMPTY = {"push_config", "expiration_policy", "message_storage_policy"}
"""An empty message here asks for what the emulator does anyway: pull, no expiry, no policy.

An empty `retry_policy` is another matter: it asks for the default backoff.
"""

_IMMUTABLE = {"name", "topic", "filter", "enable_message_ordering", "detached", "state"}


def topic_settings(topic: wire.Proto) -> TopicSettings:
    """Read a Topic; raises Unsupported for a setting that would have no effect."""
    _refuse_others(topic, _TOPIC_FIELDS, "Topic")
    return TopicSettings(labels=dict(topic.labels))


def subscription_settings(subscription: wire.Proto) -> SubscriptionSettings:
    """Read a Subscription; raises Unsupported for a setting that would have no effect."""
    _refuse_others(subscription, _SUBSCRIPTION_FIELDS, "Subscription")
    return SubscriptionSettings(
        ack_deadline_seconds=_ack_deadline(subscription),
        labels=dict(subscription.labels),
        enable_message_ordering=subscription.enable_message_ordering,
        filter=subscription.filter,
    )


def topic_changes(request: wire.Proto) -> Mapping[str, Any]:
    """Read an UpdateTopicRequest: new values by the names of TopicSettings."""
    values = {"labels": dict(request.topic.labels)}
    return _masked(request.topic, request.update_mask.paths, values)


def subscription_changes(request: wire.Proto) -> Mapping[str, Any]:
    """Read an UpdateSubscriptionRequest: new values by the names of SubscriptionSettings."""
    values = {
        "labels": dict(request.subscription.labels),
        "ack_deadline_seconds": _ack_deadline(request.subscription),
    }
    return _masked(request.subscription, request.update_mask.paths, values)


def encode_topic(topic: Topic) -> wire.Proto:
    """Write a Topic."""
    return wire.Topic(name=topic.name, labels=topic.settings.labels, state=wire.ACTIVE)


def encode_subscription(subscription: Subscription) -> wire.Proto:
    """Write a Subscription."""
    settings = subscription.settings
    return wire.Subscription(
        name=subscription.name,
        topic=subscription.topic_name,
        ack_deadline_seconds=settings.ack_deadline_seconds,
        labels=settings.labels,
        enable_message_ordering=settings.enable_message_ordering,
        filter=settings.filter,
        detached=subscription.detached,
        state=wire.ACTIVE,
    )


def drafts(request: wire.Proto) -> list[Draft]:
    """Read the messages of a PublishRequest."""
    return [
        Draft(message.data, dict(message.attributes), message.ordering_key)
        for message in request.messages
    ]


def fill_received(received: wire.Proto, delivered: Iterable[Delivered]) -> None:
    """Append to a repeated ReceivedMessage.

    `delivery_attempt` stays 0, as documented for subscriptions without a dead-letter policy.
    """
    for ack_id, (sequence, publish_time, content), _ in delivered:
        entry = received.add()
        entry.ack_id = ack_id
        message = entry.message
        message.message_id = str(sequence)
        message.data = content.data
        if content.attributes:
            message.attributes.update(content.attributes)
        message.ordering_key = content.ordering_key
        message.publish_time.seconds, message.publish_time.nanos = divmod(publish_time, SECOND)


def flow_limits(request: wire.Proto) -> FlowLimits:
    """Read the flow control of a stream's first request; 0 and less is without limit."""
    messages, octets = request.max_outstanding_messages, request.max_outstanding_bytes
    return FlowLimits(messages if messages > 0 else None, octets if octets > 0 else None)


def deadline_changes(request: wire.Proto) -> Iterable[tuple[str, int]]:
    """Read pairs of ack ID and seconds from a StreamingPullRequest."""
    ack_ids, seconds = request.modify_deadline_ack_ids, request.modify_deadline_seconds
    if len(ack_ids) != len(seconds):
        raise InvalidArgument(
            f"The request has {len(ack_ids)} modify_deadline_ack_ids "
            f"but {len(seconds)} modify_deadline_seconds."
        )
    return zip(ack_ids, seconds, strict=True)


def check_publish_size(request: wire.Proto) -> None:
    """Raise InvalidArgument for a PublishRequest that is larger than the service takes."""
    _check_size(request, limits.PUBLISH_REQUEST_BYTES)


def check_acknowledgement(request: wire.Proto) -> None:
    """Raise InvalidArgument for an (un)acknowledgement without IDs, or with too many."""
    _check_size(request, limits.ACKNOWLEDGE_REQUEST_BYTES)
    if not request.ack_ids:
        raise InvalidArgument("No ack ids specified.")


def _check_size(request: wire.Proto, limit: int) -> None:
    if request.ByteSize() > limit:
        raise InvalidArgument(f"Request payload size exceeds the limit: {limit} bytes.")


def _ack_deadline(subscription: wire.Proto) -> int:
    seconds: int = subscription.ack_deadline_seconds
    return seconds or limits.DEFAULT_ACK_DEADLINE_SECONDS


def _refuse_others(resource: wire.Proto, heeded: set[str], kind: str) -> None:
    for descriptor, value in resource.ListFields():
        if descriptor.name not in heeded and not _asks_nothing(descriptor.name, value):
            raise Unsupported(f"{kind}.{descriptor.name}")


def _asks_nothing(name: str, value: Any) -> bool:
    return name in _NOTHING_WHEN_EMPTY and not value.ByteSize()


def _masked(
    resource: wire.Proto, paths: Iterable[str], values: Mapping[str, Any]
) -> Mapping[str, Any]:
    chosen = list(paths)
    if not chosen:
        raise InvalidArgument("The update_mask in the request must be specified and non-empty.")
    for path in chosen:
        if path not in values:
            raise _unchangeable(resource, path)
    return {path: values[path] for path in chosen}


def _unchangeable(resource: wire.Proto, path: str) -> Exception:
    known = resource.DESCRIPTOR.fields_by_name
    if path.partition(".")[0] not in known:
        return InvalidArgument(f"Invalid update_mask provided in the request: {path} is no field.")
    if path in _IMMUTABLE:
        return InvalidArgument(f"Invalid update_mask provided in the request: {path} is immutable.")
    return Unsupported(f"{resource.DESCRIPTOR.name}.{path}")
