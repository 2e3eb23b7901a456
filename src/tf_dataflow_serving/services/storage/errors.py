"""What can go wrong in object storage, apart from any protocol."""


class StorageError(Exception):
    """A request that cannot be fulfilled; its text is for the user."""


class BucketNotFound(StorageError):
    """There is no bucket of that name."""

    def __init__(self, bucket: str):
        super().__init__("The specified bucket does not exist.")
        self.bucket = bucket


class ObjectNotFound(StorageError):
    """There is no live object of that name, or not in that generation."""

    def __init__(self, bucket: str, name: str):
        super().__init__(f"No such object: {bucket}/{name}")


class UploadNotFound(StorageError):
    """The upload was never started, was cancelled, or has expired."""

    def __init__(self, upload_id: str):
        super().__init__(f"No such upload: {upload_id}")


class BucketAlreadyExists(StorageError):
    """The bucket's name is taken."""

    def __init__(self, bucket: str):
        super().__init__(
            f"The requested bucket name is not available: {bucket} exists. "
            "Please select a different name and try again."
        )


class BucketNotEmpty(StorageError):
    """A bucket that holds objects cannot be deleted."""

    def __init__(self, bucket: str):
        super().__init__(f"The bucket you tried to delete is not empty: {bucket}")


class PreconditionFailed(StorageError):
    """The state of the object or bucket is not the one that the request asked for."""

    def __init__(self, condition: str):
        super().__init__(
            f"At least one of the pre-conditions you specified did not hold: {condition}"
        )


class NegativePreconditionFailed(PreconditionFailed):
    """The state is one that the request excluded: for a read, nothing has changed."""


class InvalidArgument(StorageError):
    """The request is malformed or contradicts itself."""


class ChecksumMismatch(InvalidArgument):
    """The content that arrived is not the content that was announced."""

    def __init__(self, algorithm: str, expected: str, actual: str):
        super().__init__(
            f"Provided {algorithm} hash {expected!r} doesn't match calculated {algorithm} "
            f"hash {actual!r}."
        )


class ContentTooLarge(StorageError):
    """A body is larger than its documented limit."""

    def __init__(self, what: str, limit: int):
        super().__init__(f"{what} is larger than the limit of {limit} bytes.")


class RangeNotSatisfiable(StorageError):
    """The range asked for begins after the content's end."""

    def __init__(self, size: int):
        super().__init__(f"The requested range cannot be satisfied: the object has {size} bytes.")
        self.size = size


class UploadBusy(StorageError):
    """Another request is writing to the same upload."""

    def __init__(self, upload_id: str):
        super().__init__(f"Another request is writing to upload {upload_id}; try again.")


class OutOfSpace(StorageError):
    """The file system that holds the content is full."""

    def __init__(self, reason: str):
        super().__init__(f"The content cannot be stored: {reason}.")


class Unsupported(StorageError):
    """The real service does this; this one does not."""

    def __init__(self, feature: str):
        super().__init__(f"Not implemented by this local service: {feature}.")


class DataDirectoryInUse(StorageError):
    """Another process serves the same data directory."""

    def __init__(self, directory: str):
        super().__init__(f"Another process is using the data directory {directory}.")
