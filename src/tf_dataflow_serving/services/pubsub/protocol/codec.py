"""Between protobuf messages and the broker's values: messages and acknowledgements."""

from collections.abc import Iterable
from typing import Any

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.protocol import wire


def drafts(request: wire.Proto) -> list[Draft]:
    """Read the messages of a PublishRequest."""
    return [
        Draft(message.data, dict(message.attributes), message.ordering_key)
        for message in request.messages
    ]


def fill_received(received: wire.Proto, delivered: Iterable[Delivered]) -> None:
    """Append to a repeated ReceivedMessage.

    `delivery_attempt` is 0, as documented for subscriptions without a dead-letter policy.
    """
    for ack_id, (sequence, publish_time, content), attempt in delivered:
        entry = received.add()
        entry.ack_id = ack_id
        entry.delivery_attempt = attempt
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


def nanoseconds(value: Any) -> int:
    """Read a Duration, or a Timestamp as the time since the Unix epoch.

    Raises InvalidArgument if it does not fit in 64 bits, 292 years.
    """
    result = int(value.seconds) * SECOND + int(value.nanos)
    if abs(result) >= 2**63:
        raise InvalidArgument(f"A time of {value.seconds} seconds is out of range.")
    return result


def _check_size(request: wire.Proto, limit: int) -> None:
    if request.ByteSize() > limit:
        raise InvalidArgument(f"Request payload size exceeds the limit: {limit} bytes.")
