"""What can go wrong, in BigQuery's terms.

`reason` is BigQuery's own word for each
(https://cloud.google.com/bigquery/docs/error-messages#errortable).
"""

from typing import ClassVar


class BigQueryError(Exception):
    """A request or a job that cannot be carried out; `location` names the culprit."""

    reason: ClassVar[str] = "invalid"

    def __init__(self, message: str, location: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location


class InvalidRequest(BigQueryError):
    """A request or a job that means nothing, or names what it may not name."""


class InvalidQuery(BigQueryError):
    """A query that is no SQL, or that fails as it runs."""

    reason = "invalidQuery"


class InvalidData(BigQueryError):
    """Rows that do not fit the schema; `location` is the field, or the object."""


class MissingField(InvalidData):
    """A row without a value for a REQUIRED field, which is the location."""


class NotFound(BigQueryError):
    """A dataset, table, job or object that does not exist."""

    reason = "notFound"


class AlreadyExists(BigQueryError):
    """A job or table that must not exist yet, or that must be empty and is not."""

    reason = "duplicate"


class Unsupported(BigQueryError):
    """Something that BigQuery does and this service does not."""

    reason = "notImplemented"


class BackendFailed(BigQueryError):
    """The storage service did not answer, or not as it should."""

    reason = "backendError"


class TooLarge(BigQueryError):
    """A request body over its limit."""


class ResourceInUse(BigQueryError):
    """A dataset that is to be deleted while it holds tables."""

    reason = "resourceInUse"


class OutOfRange(BigQueryError):
    """A position beyond the end of what is read."""


class Conflict(BigQueryError):
    """A table that others change each time it is to be read."""
