"""What can go wrong in the broker, in its own terms."""

from collections.abc import Sequence


class PubSubError(Exception):
    """A request that the broker refuses; its text is for the caller."""


class NotFound(PubSubError):
    """The named topic, subscription or snapshot does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource not found (resource={name}).")


class AlreadyExists(PubSubError):
    """A resource of that name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource already exists in the project (resource={name}).")


class InvalidArgument(PubSubError):
    """The request breaks a documented rule, whatever the state of the broker."""


class InvalidAckIds(PubSubError):
    """A subscription with exactly-once delivery refuses some of the ack IDs of a request.

    Source of the text: what the service answers, googleapis/nodejs-pubsub issue 1951.
    """

    def __init__(self, ack_ids: Sequence[str]) -> None:
        super().__init__(
            "Some acknowledgement ids in the request were invalid. This could be because the "
            "acknowledgement ids have expired or the acknowledgement ids were malformed."
        )
        self.ack_ids = ack_ids


class FailedPrecondition(PubSubError):
    """The request is well formed, but the resource is in no state for it."""


class StorageFailed(PubSubError):
    """The state could not be kept, so nothing was changed."""


class Unsupported(PubSubError):
    """The service has this feature, the emulator does not."""

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not supported by this emulator.")
