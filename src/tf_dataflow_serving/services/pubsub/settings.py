"""What the owners of topics, subscriptions and snapshots may choose, and within which bounds.

All durations are in nanoseconds. Source of bounds and defaults: the comments of `Topic`,
`Subscription`, `DeadLetterPolicy`, `RetryPolicy` and `ExpirationPolicy` in
google/pubsub/v1/pubsub.proto.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.deadlines import check_ack_deadline
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

_LABEL_KEY = re.compile(r"[^\W\d_][\w-]{0,62}")
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")


@dataclass(frozen=True)
class TopicSettings:
    """Settings of a topic; without `retention` it retains nothing for later seeks."""

    labels: Mapping[str, str] = field(default_factory=dict)
    retention: int | None = None

    def check(self) -> None:
        """Raise InvalidArgument for a value out of bounds."""
        check_labels(self.labels)
        if self.retention is not None:
            _check_retention(self.retention)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a message waits after it came back: longer each time, within these bounds."""

    minimum_backoff: int = limits.DEFAULT_MINIMUM_BACKOFF_SECONDS * SECOND
    maximum_backoff: int = limits.DEFAULT_MAXIMUM_BACKOFF_SECONDS * SECOND

    def backoff(self, returns: int) -> int:
        """Return the wait after a message came back for the nth time, counted from 1."""
        doublings = min(returns - 1, 64)
        return min(self.minimum_backoff << doublings, self.maximum_backoff)

    def check(self) -> None:
        """Raise InvalidArgument for a value out of bounds."""
        _check_backoff("minimum_backoff", self.minimum_backoff)
        _check_backoff("maximum_backoff", self.maximum_backoff)
        if self.minimum_backoff > self.maximum_backoff:
            raise InvalidArgument("minimum_backoff must not be greater than maximum_backoff.")


@dataclass(frozen=True)
class DeadLetterPolicy:
    """Where a message goes that was delivered in vain this often."""

    topic: str
    max_delivery_attempts: int = limits.DEFAULT_DELIVERY_ATTEMPTS

    def check(self) -> None:
        """Raise InvalidArgument for a value out of bounds."""
        attempts = self.max_delivery_attempts
        if not limits.MIN_DELIVERY_ATTEMPTS <= attempts <= limits.MAX_DELIVERY_ATTEMPTS:
            raise InvalidArgument(
                f"Invalid max_delivery_attempts given ({attempts}). It must be from "
                f"{limits.MIN_DELIVERY_ATTEMPTS} to {limits.MAX_DELIVERY_ATTEMPTS}."
            )


@dataclass(frozen=True)
class SubscriptionSettings:
    """Settings of a subscription; filter and order can be chosen at its creation only.

    `expiration` is the time without activity after which it is deleted, None for never.
    """

    ack_deadline_seconds: int = limits.DEFAULT_ACK_DEADLINE_SECONDS
    labels: Mapping[str, str] = field(default_factory=dict)
    enable_message_ordering: bool = False
    filter: str = ""
    enable_exactly_once_delivery: bool = False
    retain_acked_messages: bool = False
    retention: int = limits.DEFAULT_RETENTION_SECONDS * SECOND
    expiration: int | None = limits.DEFAULT_EXPIRATION_SECONDS * SECOND
    retry_policy: RetryPolicy | None = None
    dead_letter_policy: DeadLetterPolicy | None = None

    def check(self) -> None:
        """Raise InvalidArgument for a value out of bounds."""
        check_labels(self.labels)
        check_ack_deadline(self.ack_deadline_seconds)
        _check_retention(self.retention)
        self._check_expiration()
        if self.retry_policy is not None:
            self.retry_policy.check()
        if self.dead_letter_policy is not None:
            self.dead_letter_policy.check()

    def _check_expiration(self) -> None:
        if self.expiration is None:
            return
        if self.expiration < limits.MIN_EXPIRATION_SECONDS * SECOND:
            raise InvalidArgument("expiration_policy.ttl must be at least 1 day.")
        if self.expiration < self.retention:
            raise InvalidArgument(
                "expiration_policy.ttl must not be less than message_retention_duration."
            )


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise InvalidArgument for labels that a resource must not have.

    Source: cloud.google.com/pubsub/docs/labels, "Requirements for labels": lowercase letters,
    of any script, digits, underscores and dashes.
    """
    if len(labels) > limits.LABELS:
        raise InvalidArgument(
            f"{len(labels)} labels were given, but the maximum is {limits.LABELS}."
        )
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _is_lower(key):
            raise InvalidArgument(f"Invalid label key given ({key}).")
        if not _LABEL_VALUE.fullmatch(value) or not _is_lower(value):
            raise InvalidArgument(f"Invalid value given for label {key} ({value}).")


def _is_lower(text: str) -> bool:
    return text == text.lower()


def _check_retention(duration: int) -> None:
    least, most = limits.MIN_RETENTION_SECONDS, limits.MAX_RETENTION_SECONDS
    if not least * SECOND <= duration <= most * SECOND:
        raise InvalidArgument(
            f"Invalid message_retention_duration given ({duration / SECOND:g} seconds). "
            f"It must be from {least} to {most} seconds."
        )


def _check_backoff(name: str, duration: int) -> None:
    if not 0 <= duration <= limits.MAX_BACKOFF_SECONDS * SECOND:
        raise InvalidArgument(
            f"Invalid {name} given ({duration / SECOND:g} seconds). "
            f"It must be from 0 to {limits.MAX_BACKOFF_SECONDS} seconds."
        )
