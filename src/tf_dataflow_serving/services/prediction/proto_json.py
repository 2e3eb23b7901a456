"""The JSON form of protobuf messages, as far as resources need it."""

from datetime import datetime

Resource = dict[str, object]


def present(**fields: object) -> Resource:
    """Leave out what is empty or false, as protobuf's JSON does."""
    return {name: value for name, value in fields.items() if value}


def timestamp(moment: datetime | None) -> str | None:
    """Return a google.protobuf.Timestamp."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None
