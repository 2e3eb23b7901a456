"""Messages, and the rules that a publication must keep."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument

_CLIENT_ATTRIBUTES = "googclient_"

_ENVELOPE_BYTES = 120
"""Ack ID, message ID, publish time, and the tags and lengths around them and the data."""
_ENTRY_BYTES = 12
"""Tags and lengths around one attribute."""


class Draft(NamedTuple):
    """A message as its publisher gives it."""

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str


class Message(NamedTuple):
    """A published message; `publish_time` in nanoseconds since the Unix epoch.

    `sequence` grows with every message of the broker and gives the message its ID.
    """

    sequence: int
    publish_time: int
    content: Draft

    @property
    def message_id(self) -> str:
        """The ID that the service assigns, unique in the whole broker."""
        return str(self.sequence)

    @property
    def size(self) -> int:
        """Bytes that flow control counts: the data, the attributes, the ordering key."""
        data, attributes, ordering_key = self.content
        texts = sum(_utf8_length(key) + _utf8_length(attributes[key]) for key in attributes)
        return len(data) + texts + _utf8_length(ordering_key)

    @property
    def encoded_size(self) -> int:
        """Bytes that the message takes in a response, at most."""
        return self.size + _ENVELOPE_BYTES + _ENTRY_BYTES * len(self.content.attributes)


def check_publication(drafts: Sequence[Draft]) -> None:
    """Raise InvalidArgument unless these may be published in one request.

    Source: `PublishRequest` and `PubsubMessage` in google/pubsub/v1/pubsub.proto,
    cloud.google.com/pubsub/docs/publisher, "Publish messages with attributes".
    """
    if not drafts:
        raise InvalidArgument("The publish request must contain at least one message.")
    if len(drafts) > limits.PUBLISH_MESSAGES:
        raise InvalidArgument(
            f"The value for message_count is too large. You passed {len(drafts)} in the request, "
            f"but the maximum value is {limits.PUBLISH_MESSAGES}."
        )
    if any(draft.ordering_key != drafts[0].ordering_key for draft in drafts):
        raise InvalidArgument("All messages in a publish request must share one ordering key.")
    _check_bytes("ordering_key", drafts[0].ordering_key, limits.ORDERING_KEY_BYTES)
    for draft in drafts:
        if draft.attributes:
            _check_attributes(draft.attributes)
        elif not draft.data:
            raise InvalidArgument(
                "Each message must contain either non-empty data, or at least one attribute."
            )


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > limits.ATTRIBUTES_PER_MESSAGE:
        raise InvalidArgument(
            f"A message has {len(attributes)} attributes, "
            f"but the maximum is {limits.ATTRIBUTES_PER_MESSAGE}."
        )
    for key, value in attributes.items():
        _check_attribute_key(key)
        _check_bytes(f"value of attribute {key}", value, limits.ATTRIBUTE_VALUE_BYTES)


def _check_attribute_key(key: str) -> None:
    if not key:
        raise InvalidArgument("An attribute key must not be empty.")
    if key.startswith("goog") and not key.startswith(_CLIENT_ATTRIBUTES):
        raise InvalidArgument(f"An attribute key must not begin with goog (key={key}).")
    _check_bytes("attribute key", key, limits.ATTRIBUTE_KEY_BYTES)


def _check_bytes(what: str, text: str, limit: int) -> None:
    if _utf8_length(text) > limit:
        raise InvalidArgument(
            f"The {what} has {_utf8_length(text)} bytes, but the maximum is {limit}."
        )


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
