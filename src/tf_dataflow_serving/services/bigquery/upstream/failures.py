"""What the other emulator says went wrong, in BigQuery's terms.

It answers 400 or 500 with the reason jobInternalError or internalError to nearly everything, so
that only its message tells one kind from another.
"""

import re
from collections.abc import Sequence

from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BackendFailed,
    BigQueryError,
    InvalidData,
    InvalidQuery,
    NotFound,
    Unsupported,
)

_SERVER_ERROR = 500
# It gives up on a request that waited too long for those before it, without having read it.
_UNREAD = re.compile(r"^read tcp \S+: i/o timeout$")
_KINDS: Sequence[tuple[re.Pattern[str], type[BigQueryError]]] = (
    (re.compile(r"Table not found|\bis not found|no such table"), NotFound),
    (re.compile(r"is already created|already exists"), AlreadyExists),
    (re.compile(r"constraint failed"), InvalidData),
    (re.compile(r"Statement not supported|no such function|not (yet )?implemented"), Unsupported),
)
# Its words around those of the parser and of SQLite; the statement may be megabytes long.
_WRAPPINGS = re.compile(
    r"^(?:failed to (?:analyze|parse statements?|scan rows): )+|^failed to .*sqlite3: ", re.DOTALL
)


def failure(status: int, message: str) -> BigQueryError:
    """The error that an answer with this HTTP status and message stands for."""
    told = _WRAPPINGS.sub("", message)
    for pattern, kind in _KINDS:
        if pattern.search(told):
            return kind(_in_words(kind, told))
    if status >= _SERVER_ERROR or was_unread(message):
        return BackendFailed(f"The BigQuery emulator behind this service failed: {told}")
    return InvalidQuery(told)


def was_unread(message: str) -> bool:
    """Whether a request was refused before it was read, so that it may be sent again."""
    return _UNREAD.search(message) is not None


def _in_words(kind: type[BigQueryError], told: str) -> str:
    missing = re.match(r"Table not found: (?P<name>[^;\[]+)", told)
    if kind is NotFound and missing is not None:
        return f"Not found: Table {missing['name'].strip()}"
    return told
