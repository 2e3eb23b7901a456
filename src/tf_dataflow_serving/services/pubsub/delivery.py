"""A message on its way to a subscription's consumers."""

from typing import NamedTuple, Protocol

from tf_dataflow_serving.services.pubsub.consumer import Consumer
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.message import Message


class ExpiryHandler(Protocol):
    """Whoever must know that a lease has expired."""

    def expire(self, delivery: "Delivery") -> None:
        """Take the message back."""


class Delivery:
    """One message of one subscription, from its first delivery to its acknowledgement.

    `attempt` counts how often it was handed out. `holder` is the consumer whose lease runs,
    None while the message waits. `settled` is True once it was acknowledged.
    """

    __slots__ = ("attempt", "holder", "message", "owner", "settled", "size")

    def __init__(self, message: Message, owner: ExpiryHandler) -> None:
        self.message = message
        self.owner = owner
        self.size = message.size
        self.attempt = 0
        self.holder: Consumer | None = None
        self.settled = False


class AckId(NamedTuple):
    """Names one attempt to deliver one message on one subscription."""

    subscription: int
    sequence: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.subscription:x}-{self.sequence:x}-{self.attempt:x}"

    @classmethod
    def parse(cls, text: str) -> "AckId":
        """Read what `str` wrote; raises InvalidArgument on anything else."""
        try:
            subscription, sequence, attempt = (int(part, 16) for part in text.split("-"))
        except ValueError:
            raise _invalid(text) from None
        ack_id = cls(subscription, sequence, attempt)
        if str(ack_id) != text:  # Python reads other notations of the same numbers too.
            raise _invalid(text)
        return ack_id


class Delivered(NamedTuple):
    """What a consumer gets; `attempt` counts from 1."""

    ack_id: str
    message: Message
    attempt: int


def _invalid(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"You have passed an invalid ack ID to the service (ack_id={text[:100]})."
    )
