"""The options of load jobs that are refused, as they would change the rows, and encodings.

Source: JobConfigurationLoad
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad).
"""

from collections.abc import Mapping
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, Unsupported

_REFUSED = (
    "hivePartitioningOptions",
    "jsonExtension",
    "projectionFields",
    "schemaInline",
    "referenceFileSchemaUri",
    "columnNameCharacterMap",
    "dateFormat",
    "datetimeFormat",
    "timeFormat",
    "timestampFormat",
    "timeZone",
    "destinationRoutine",
)
# What stands for the default.
_HARMLESS: Mapping[str, frozenset[str]] = {
    "columnNameCharacterMap": frozenset({"COLUMN_NAME_CHARACTER_MAP_UNSPECIFIED", "STRICT"}),
    "fileSetSpecType": frozenset({"FILE_SET_SPEC_TYPE_FILE_SYSTEM_MATCH"}),
    "sourceColumnMatch": frozenset({"SOURCE_COLUMN_MATCH_UNSPECIFIED", "POSITION"}),
    "timeZone": frozenset({"UTC"}),
}
# Those of a 64-bit number.
_MOST_DIGITS = 20
_ENCODINGS: Mapping[str, str] = {
    "UTF-8": "utf-8-sig",
    "ISO-8859-1": "iso-8859-1",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-32BE": "utf-32-be",
    "UTF-32LE": "utf-32-le",
}


def refuse_unknown_options(load: Mapping[str, Any]) -> None:
    """Raise Unsupported for an option that changes the rows and is not honoured here."""
    for name in (*_REFUSED, "fileSetSpecType", "sourceColumnMatch"):
        value = load.get(name)
        if value and str(value) not in _HARMLESS.get(name, ()):
            raise Unsupported(f"The load option {name} is not supported: {value}", name)
    targets = [str(target).upper() for target in load.get("decimalTargetTypes") or ["NUMERIC"]]
    if "NUMERIC" not in targets or "STRING" in targets:
        raise Unsupported(
            f"The load option decimalTargetTypes is not supported: {targets}; decimals become "
            "NUMERIC, or BIGNUMERIC if they have more than 9 fractional digits"
        )


def whole_number(load: Mapping[str, Any], name: str) -> int | None:
    """An option that counts something, None if it is not given; raises InvalidRequest."""
    value = load.get(name)
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS):
        raise InvalidRequest(f"Invalid value for {name}: {value!r}", name)
    return int(text)


def single_character(name: str, value: str) -> str:
    """An option of one character, or none; raises InvalidRequest."""
    if len(value) > 1 or value in ("\r", "\n"):
        raise InvalidRequest(f"Invalid value for {name}: {value!r}", name)
    return value


def encoding_of(load: Mapping[str, Any]) -> str:
    """The encoding of CSV and JSON files, by Python's name; raises InvalidRequest."""
    name = str(load.get("encoding") or "UTF-8").upper()
    try:
        return _ENCODINGS[name]
    except KeyError:
        raise InvalidRequest(f"Unknown encoding: {name}") from None
