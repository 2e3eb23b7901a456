"""How long a lease may last.

Source: google/pubsub/v1/pubsub.proto, comments of `Subscription.ack_deadline_seconds`,
`StreamingPullRequest.stream_ack_deadline_seconds` and
`ModifyAckDeadlineRequest.ack_deadline_seconds`.
"""

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument


def check_ack_deadline(seconds: int) -> None:
    """Raise InvalidArgument unless a subscription or a stream may have this ack deadline."""
    _check(seconds, limits.MIN_ACK_DEADLINE_SECONDS)


def check_extension(seconds: int) -> None:
    """Raise InvalidArgument unless a lease may be changed to end after this time."""
    _check(seconds, 0)


def _check(seconds: int, minimum: int) -> None:
    if not minimum <= seconds <= limits.MAX_ACK_DEADLINE_SECONDS:
        raise InvalidArgument(
            f"Invalid ack deadline given ({seconds} seconds). "
            f"It must be from {minimum} to {limits.MAX_ACK_DEADLINE_SECONDS}."
        )
