"""The JSON form of protobuf messages, as far as resources need it."""

import re
from datetime import datetime

Resource = dict[str, object]
EMPTY: Resource = {"@type": "type.googleapis.com/google.protobuf.Empty"}
_CAPITAL = re.compile(r"(?=[A-Z])")


def proto_name(name: str) -> str:
    """Return the name of a field in its proto form: max_worker_count for maxWorkerCount."""
    return _CAPITAL.sub("_", name).lower()


def present(**fields: object) -> Resource:
    """Leave out what is empty or false, as protobuf's JSON does."""
    return {name: value for name, value in fields.items() if value}


def timestamp(moment: datetime | None) -> str | None:
    """Return a google.protobuf.Timestamp."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None
