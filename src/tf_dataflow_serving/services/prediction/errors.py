"""What can go wrong with models, versions, jobs and predictions; free of any protocol."""


class ResourceError(Exception):
    """A request about a resource that cannot be met; `field` names the part of it at fault."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(field, description)
        self.field = field
        self.description = description

    def __str__(self) -> str:
        return f"Field: {self.field} Error: {self.description}"


class InvalidArgument(ResourceError):
    """The request makes no sense, whatever the state of the service."""


class NotFound(ResourceError):
    """The resource does not exist."""


class AlreadyExists(ResourceError):
    """A resource of that name exists."""


class FailedPrecondition(ResourceError):
    """The request makes sense, but not in the present state of the resource."""


class MalformedRequest(Exception):
    """The body is not the JSON that the method takes."""


class PayloadTooLarge(Exception):
    """The body is longer than the service accepts; `limit` and `size` are in bytes."""

    def __init__(self, limit: int, size: int) -> None:
        super().__init__(f"Request payload size exceeds the limit: {limit} bytes.")
        self.limit = limit
        self.size = size


class PredictionFailed(Exception):
    """The model has no prediction for these instances; the message says why."""


class ModelUnusable(Exception):
    """A directory holds no SavedModel that can be served."""


class StorageFailed(Exception):
    """Objects on gs:// could not be listed, read or written."""


class StorageUnavailable(StorageFailed):
    """The storage service is away; what was asked of it may be possible later."""


class JobStopped(Exception):
    """The job was asked to stop, by its user or for the end of the service."""
