"""Guesses the schema of files that have none, as load jobs with `autodetect` do.

Source: "Using schema auto-detection"
(https://cloud.google.com/bigquery/docs/schema-detect#auto-detect). The sample is the whole file
here, not its first 500 rows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidData
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(UTC|Z|[+-]\d{2}(:?\d{2})?))?"
)
_PATTERNS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"true|false", re.IGNORECASE), "BOOLEAN"),
    (re.compile(r"[+-]?\d{1,18}"), "INTEGER"),
    (re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"), "FLOAT"),
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "DATE"),
    (re.compile(r"\d{2}:\d{2}:\d{2}(\.\d{1,6})?"), "TIME"),
    (_TIMESTAMP, "TIMESTAMP"),
)
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")


def detect_schema(records: Iterable[Mapping[str, Any]]) -> Schema:
    """The schema of JSON records; raises InvalidData if two of them contradict each other."""
    return tuple(_settled(field) for field in _seen_in(records))


def _seen_in(records: Iterable[Mapping[str, Any]]) -> Schema:
    """The fields of `records`; the type of those that held no value yet is empty."""
    fields: dict[str, Field] = {}
    for record in records:
        for name, value in record.items():
            seen = _field_of(name, value)
            fields[name] = _merged(fields[name], seen) if name in fields else seen
    return tuple(fields.values())


def is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a CSV file names the columns: it alone is all text."""
    return all(_text_type(cell) == "STRING" for cell in first) and any(
        kind != "STRING" for kind in _column_types(rest)
    )


def detect_csv_schema(header: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> Schema:
    """The schema of CSV rows, with names made up if there is no header."""
    kinds = _column_types(rows) or ["STRING"] * len(header or ())
    names = header or [f"{_PREFIXES[kind]}_field_{i}" for i, kind in enumerate(kinds)]
    return tuple(Field(_legal(name), kind) for name, kind in zip(names, kinds, strict=False))


_PREFIXES: Mapping[str, str] = {
    "BOOLEAN": "bool",
    "INTEGER": "int64",
    "FLOAT": "double",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "STRING": "string",
}


def _column_types(rows: Sequence[Sequence[str]]) -> list[str]:
    return [_column_type(cells) for cells in zip_longest(*rows, fillvalue="")]


def _column_type(cells: Iterable[str]) -> str:
    kinds = {_text_type(cell) for cell in cells if cell}
    if not kinds:
        return "STRING"
    if kinds == {"INTEGER", "FLOAT"}:
        return "FLOAT"
    return kinds.pop() if len(kinds) == 1 else "STRING"


def _legal(name: str) -> str:
    return _NOT_A_NAME.sub("_", name.strip()) or "_"


def _text_type(text: str) -> str:
    for pattern, kind in _PATTERNS:
        if pattern.fullmatch(text.strip()):
            return kind
    return "STRING"


def _field_of(name: str, value: Any) -> Field:
    """The field that one value suggests; its type is empty for null and []."""
    if value is None or value == []:
        return Field(name, "")
    if isinstance(value, list):
        element = _seen_in({name: item} for item in value)[0]
        return Field(name, element.type, Mode.REPEATED, element.fields)
    if isinstance(value, dict):
        return Field(name, "RECORD", Mode.NULLABLE, _seen_in([value]))
    return Field(name, _scalar_type(value))


def _scalar_type(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "INTEGER"
    if isinstance(value, float):
        return "FLOAT"
    kind = _text_type(value)
    # Numbers and booleans that were sent as text are meant as text.
    return kind if kind not in ("INTEGER", "FLOAT", "BOOLEAN") else "STRING"


def _merged(known: Field, seen: Field) -> Field:
    if not (known.type and seen.type):
        return seen if seen.type else known
    if known.mode is not seen.mode or (known.type == "RECORD") != (seen.type == "RECORD"):
        raise InvalidData(f"Field {known.name} has values of different shape.", known.name)
    if known.type == "RECORD":
        return Field(known.name, "RECORD", known.mode, _merged_records(known, seen))
    return Field(known.name, _merged_type(known.type, seen.type), known.mode)


def _merged_records(known: Field, seen: Field) -> Schema:
    fields = {field.name: field for field in known.fields}
    for field in seen.fields:
        fields[field.name] = _merged(fields[field.name], field) if field.name in fields else field
    return tuple(fields.values())


def _merged_type(known: str, seen: str) -> str:
    if known == seen:
        return known
    return "FLOAT" if {known, seen} == {"INTEGER", "FLOAT"} else "STRING"


def _settled(field: Field) -> Field:
    children = tuple(_settled(child) for child in field.fields)
    return Field(field.name, field.type or "STRING", field.mode, children)
