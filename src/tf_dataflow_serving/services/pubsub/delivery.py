"""A message on its way to a subscription's consumers."""

from typing import NamedTuple, Protocol

from tf_dataflow_serving.services.pubsub.consumer import Consumer
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.message import Message


class Owner(Protocol):
    """Whoever must know that a message's time has come."""

    def due(self, delivery: "Delivery", now: int) -> None:
        """End its lease, or the wait after which it is delivered again."""


class Delivery:
    """One message of one subscription, from when it was read to its acknowledgement.

    `attempt` counts how often it was handed out, `returns` how often it was given back or its
    lease ran out, `extensions` how often a lease was extended. `lease` numbers the latest
    lease, `holder` is the consumer whose lease runs, None while the message waits. `settled`
    is True once the subscription does not owe it any more: it was acknowledged, or dropped.
    """

    __slots__ = (
        "acknowledged",
        "attempt",
        "extensions",
        "holder",
        "lease",
        "message",
        "owner",
        "returns",
        "settled",
        "size",
    )

    def __init__(self, message: Message, owner: Owner) -> None:
        self.message = message
        self.owner = owner
        self.size = message.size
        self.attempt = 0
        self.returns = 0
        self.extensions = 0
        self.lease = 0
        self.holder: Consumer | None = None
        self.acknowledged = False
        self.settled = False


class AckId(NamedTuple):
    """Names one lease of one message on one subscription."""

    subscription: int
    sequence: int
    lease: int

    def __str__(self) -> str:
        return f"{self.subscription:x}-{self.sequence:x}-{self.lease:x}"

    @classmethod
    def parse(cls, text: str) -> "AckId":
        """Read what `str` wrote; raises InvalidArgument on anything else."""
        try:
            subscription, sequence, lease = (int(part, 16) for part in text.split("-"))
        except ValueError:
            raise _invalid(text) from None
        ack_id = cls(subscription, sequence, lease)
        if str(ack_id) != text:  # Python reads other notations of the same numbers too.
            raise _invalid(text)
        return ack_id


class Delivered(NamedTuple):
    """What a consumer gets; `attempt` counts from 1, 0 where attempts are not counted."""

    ack_id: str
    message: Message
    attempt: int


def _invalid(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"You have passed an invalid ack ID to the service (ack_id={text[:100]})."
    )
