"""What can go wrong in the broker, in its own terms."""


class PubSubError(Exception):
    """A request that the broker refuses; its text is for the caller."""


class NotFound(PubSubError):
    """The named topic or subscription does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource not found (resource={name}).")


class AlreadyExists(PubSubError):
    """A resource of that name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource already exists in the project (resource={name}).")


class InvalidArgument(PubSubError):
    """The request breaks a documented rule, whatever the state of the broker."""


class FailedPrecondition(PubSubError):
    """The request is well formed, but the resource is in no state for it."""


class Unsupported(PubSubError):
    """The service has this feature, the emulator does not."""

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not supported by this emulator.")
