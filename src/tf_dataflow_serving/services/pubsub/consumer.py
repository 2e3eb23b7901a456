"""Those who receive a subscription's messages."""

from dataclasses import dataclass

from tf_dataflow_serving.services.pubsub.timetable import Wake


@dataclass(frozen=True)
class FlowLimits:
    """How much a consumer may hold unsettled at once; None is without limit.

    Source: `StreamingPullRequest.max_outstanding_messages` and `max_outstanding_bytes` in
    google/pubsub/v1/pubsub.proto. The bytes may be exceeded by the last message.
    """

    messages: int | None = None
    bytes: int | None = None


class Consumer:
    """A pull call or a stream: what it holds, what it may still be given.

    `wake` is called whenever it is worth asking for messages again.
    """

    def __init__(self, limits: FlowLimits, wake: Wake) -> None:
        self.wake = wake
        self._limits = limits
        self._held_messages = 0
        self._held_bytes = 0

    def has_room(self) -> bool:
        """Tell whether one more message may be given."""
        messages, octets = self._limits.messages, self._limits.bytes
        return (messages is None or self._held_messages < messages) and (
            octets is None or self._held_bytes < octets
        )

    def hold(self, size: int) -> None:
        """Count a message that was given."""
        self._held_messages += 1
        self._held_bytes += size

    def release(self, size: int) -> None:
        """Count a message that was acknowledged, given back, or whose lease expired."""
        was_full = not self.has_room()
        self._held_messages -= 1
        self._held_bytes -= size
        if was_full and self.has_room():
            self.wake()
