"""Rules for resource names.

Source: cloud.google.com/pubsub/docs/pubsub-basics#resource_names and the comments of
`Topic.name`, `Subscription.name` and `CreateSnapshotRequest.name` in google/pubsub/v1/pubsub.proto.
"""

import re

from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

DELETED_TOPIC = "_deleted-topic_"
"""What a subscription shows as its topic once that has been deleted."""

_PROJECT = re.compile(r"projects/[^/]+")
_IDENTIFIER = r"(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}"
_TOPIC = re.compile(rf"projects/[^/]+/topics/{_IDENTIFIER}")
_SNAPSHOT = re.compile(rf"projects/[^/]+/snapshots/{_IDENTIFIER}")
_SUBSCRIPTION = re.compile(rf"projects/[^/]+/subscriptions/{_IDENTIFIER}")


def check_project(name: str) -> None:
    """Raise InvalidArgument unless `name` is `projects/{project}`."""
    _check(_PROJECT, name)


def check_topic(name: str) -> None:
    """Raise InvalidArgument unless `name` is a valid full topic name."""
    _check(_TOPIC, name)


def check_subscription(name: str) -> None:
    """Raise InvalidArgument unless `name` is a valid full subscription name."""
    _check(_SUBSCRIPTION, name)


def check_snapshot(name: str) -> None:
    """Raise InvalidArgument unless `name` is a valid full snapshot name."""
    _check(_SNAPSHOT, name)


def split(name: str) -> tuple[str, str]:
    """Return the project and the last part of a full resource name."""
    _, project, _, identifier = name.split("/")
    return project, identifier


def _check(pattern: re.Pattern[str], name: str) -> None:
    if not pattern.fullmatch(name):
        raise InvalidArgument(f"Invalid resource name given (name={name}).")
