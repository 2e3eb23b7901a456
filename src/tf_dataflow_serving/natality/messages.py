"""The Pub/Sub messages that carry instances into a stream, and the rows that leave it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tf_dataflow_serving.natality.instance import Instance

SOURCE_ID: Final = "source_id"
SOURCE_TIMESTAMP: Final = "source_timestamp"

_WORDS: Final[Mapping[str, bool | None]] = {"True": True, "False": False, "None": None}
# What a column of type INTEGER holds.
_INT64: Final = range(-(2**63), 2**63)


class InvalidMessage(Exception):
    """A message is not one of ours; the reason is the exception's text."""


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message; its instance is as it came, still to be validated.

    `delivered_as` names what it came in, if that has a name: the same whenever it comes again.
    """

    source_id: int
    source_timestamp: datetime
    instance: Mapping[str, object]
    delivered_as: str | None = None


def encode(
    instance: Instance, source_id: int, source_timestamp: datetime
) -> tuple[bytes, dict[str, str]]:
    """Return the data and the attributes of the message for an instance.

    The data are JSON: the features, source_id and source_timestamp; the latter two are also the
    attributes. Raises ValueError for a timestamp without a time zone.
    """
    timestamp = format_timestamp(source_timestamp)
    body = {**instance, SOURCE_ID: source_id, SOURCE_TIMESTAMP: timestamp}
    return orjson.dumps(body), {SOURCE_ID: str(source_id), SOURCE_TIMESTAMP: timestamp}


def decode(data: bytes, attributes: Mapping[str, str], delivered_as: str | None = None) -> Message:
    """Return the message that `encode` made.

    Where the data have no source_id or source_timestamp, those of the attributes hold. Raises
    InvalidMessage if the data are not a JSON object, or one of the two is missing or malformed.
    """
    body = _json_object(data)
    source_id = body.pop(SOURCE_ID, attributes.get(SOURCE_ID))
    source_timestamp = body.pop(SOURCE_TIMESTAMP, attributes.get(SOURCE_TIMESTAMP))
    return Message(_source_id(source_id), _source_timestamp(source_timestamp), body, delivered_as)


def prediction_row(
    message: Message, estimated_weight: float, predict_timestamp: datetime
) -> dict[str, object]:
    """Return the row, of PREDICTION_SCHEMA, for a message whose instance is valid.

    Its values are what JSON can carry: timestamps are RFC 3339 text, the rest as in the schema.
    """
    features: Mapping[str, Any] = message.instance
    return {
        "source_id": message.source_id,
        "source_timestamp": format_timestamp(message.source_timestamp),
        "predict_timestamp": format_timestamp(predict_timestamp),
        "estimated_weight": estimated_weight,
        "is_male": features["is_male"],
        "mother_age": float(features["mother_age"]),
        "mother_race": features["mother_race"],
        "plurality": float(features["plurality"]),
        "gestation_weeks": int(features["gestation_weeks"]),
        "mother_married": _WORDS[features["mother_married"]],
        "cigarette_use": _WORDS[features["cigarette_use"]],
        "alcohol_use": _WORDS[features["alcohol_use"]],
    }


def format_timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 text in UTC, always with six digits of a second.

    Raises ValueError if it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _json_object(data: bytes) -> dict[str, object]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage("not JSON") from error
    if not isinstance(body, dict):
        raise InvalidMessage("not a JSON object")
    return body


def _source_id(value: object) -> int:
    if value is None:
        raise InvalidMessage("source_id is missing")
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidMessage("source_id is not an integer") from error
    if not isinstance(number, int) or isinstance(number, bool) or number not in _INT64:
        raise InvalidMessage("source_id is not an integer")
    return number


def _source_timestamp(value: object) -> datetime:
    """Parse RFC 3339, or the original's "%Y-%m-%d %H:%M:%S", which is in UTC."""
    if value is None:
        raise InvalidMessage("source_timestamp is missing")
    if not isinstance(value, str):
        raise InvalidMessage("source_timestamp is not a timestamp")
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidMessage("source_timestamp is not a timestamp") from error
