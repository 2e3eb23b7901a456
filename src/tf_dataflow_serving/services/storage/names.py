"""Which names buckets and objects may have.

Sources: Cloud Storage documentation, "Bucket naming requirements" and "Object naming
requirements".
"""

import re

from tf_dataflow_serving.services.storage.errors import InvalidArgument

MAX_OBJECT_NAME_BYTES = 1024
_MAX_BUCKET_NAME = 63
_MAX_DOTTED_BUCKET_NAME = 222
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]+[a-z0-9]")


def check_bucket_name(name: str) -> None:
    """Raise InvalidArgument unless a bucket may be created with this name."""
    limit = _MAX_DOTTED_BUCKET_NAME if "." in name else _MAX_BUCKET_NAME
    components = name.split(".")
    if (
        len(name) > limit
        or not _BUCKET_NAME.fullmatch(name)
        or not all(0 < len(component) <= _MAX_BUCKET_NAME for component in components)
    ):
        raise InvalidArgument(f"Invalid bucket name: {name!r}")


def check_object_name(name: str) -> None:
    """Raise InvalidArgument unless an object may be created with this name."""
    if not name:
        raise InvalidArgument("Required object name is missing.")
    if len(name.encode()) > MAX_OBJECT_NAME_BYTES:
        raise InvalidArgument(
            f"The object name is longer than {MAX_OBJECT_NAME_BYTES} bytes in UTF-8."
        )
    if "\r" in name or "\n" in name or name in {".", ".."}:
        raise InvalidArgument(f"Invalid object name: {name!r}")
    if name.startswith(".well-known/acme-challenge/"):
        raise InvalidArgument("Object names cannot start with .well-known/acme-challenge/")
