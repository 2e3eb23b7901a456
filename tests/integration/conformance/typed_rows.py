"""Rows with a value of every standard type: plain, nested, repeated, the extremes and NULL."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

Row = dict[str, Any]

LARGEST = Decimal("578960446186580977117854925043439539266.34992332820282019728792003956564819967")
SCALARS = [
    SchemaField("int64", "INT64"),
    SchemaField("float64", "FLOAT64"),
    SchemaField("numeric", "NUMERIC"),
    SchemaField("bignumeric", "BIGNUMERIC"),
    SchemaField("bool", "BOOL"),
    SchemaField("string", "STRING"),
    SchemaField("bytes", "BYTES"),
    SchemaField("date", "DATE"),
    SchemaField("time", "TIME"),
    SchemaField("datetime", "DATETIME"),
    SchemaField("timestamp", "TIMESTAMP"),
    SchemaField("json", "JSON"),
]
NESTED = [
    SchemaField("struct", "STRUCT", fields=[*SCALARS, SchemaField("list", "INT64", "REPEATED")])
]
REPEATED = [
    *(SchemaField(f"{field.name}s", field.field_type, "REPEATED") for field in SCALARS),
    SchemaField("structs", "STRUCT", "REPEATED", fields=SCALARS),
]
SCHEMA = [SchemaField("id", "INT64", "REQUIRED"), *SCALARS, *NESTED, *REPEATED]

HIGH: Row = {
    "int64": 2**63 - 1,
    "float64": 0.1,
    "numeric": Decimal("99999999999999999999999999999.999999999"),
    "bignumeric": LARGEST,
    "bool": True,
    "string": 'Zoë "quoted"\n\t\\ 𝄞 \u0000 end',
    "bytes": bytes(range(256)),
    "date": date(9999, 12, 31),
    "time": time(23, 59, 59, 999999),
    "datetime": datetime(9999, 12, 31, 23, 59, 59, 999999),
    "timestamp": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    "json": {"a": [1, 2.5, None, "x"], "b": {"c": True}},
}
LOW: Row = {
    "int64": -(2**63),
    "float64": -5e-324,
    "numeric": Decimal("-0.000000001"),
    "bignumeric": -LARGEST,
    "bool": False,
    "string": "",
    "bytes": b"",
    "date": date(1, 1, 1),
    "time": time(0, 0, 0),
    "datetime": datetime(1, 1, 1),
    "timestamp": datetime(1, 1, 1, 0, 0, 0, 1, UTC),
    "json": [],
}
NOTHING: Row = dict.fromkeys(HIGH)


def row(number: int, values: Row, others: Sequence[Row]) -> Row:
    return {
        "id": number,
        **values,
        "struct": {**values, "list": [1, 2]},
        **{f"{name}s": [values[name] for values in others] for name in HIGH},
        "structs": [*others, NOTHING] if others else [],
    }


EMPTY: Row = {
    "id": 3,
    **NOTHING,
    "struct": None,
    **{f"{name}s": [] for name in HIGH},
    "structs": [],
}
ROWS = [row(1, HIGH, [HIGH, LOW]), row(2, LOW, [LOW]), EMPTY]

Converters = Mapping[str, Callable[[Any], Any]]


def converted(record: Mapping[str, Any], schema: Sequence[SchemaField], by_type: Converters) -> Row:
    """Return a record whose values, nested ones too, are converted by the type of their field."""
    return {field.name: _converted_value(record[field.name], field, by_type) for field in schema}


def _converted_value(value: Any, field: SchemaField, by_type: Converters) -> Any:
    if value is None:
        return None
    if field.mode == "REPEATED":
        return [_converted_single(item, field, by_type) for item in value]
    return _converted_single(value, field, by_type)


def _converted_single(value: Any, field: SchemaField, by_type: Converters) -> Any:
    if value is None:
        return None
    if field.fields:
        return converted(value, field.fields, by_type)
    convert = by_type.get(field.field_type)
    return convert(value) if convert else value


def in_order(
    rows: Iterable[Mapping[str, Any]],
    by_type: Converters | None = None,
    schema: Sequence[SchemaField] = tuple(SCHEMA),
) -> list[Row]:
    """Return rows by id, their values converted by the type of their field."""
    found = [converted(values, schema, by_type or {}) for values in rows]
    return sorted(found, key=lambda values: int(values["id"]))


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _iso(value: Any) -> str:
    return str(value.isoformat())


TO_JSON: Converters = {
    **dict.fromkeys(("INT64", "NUMERIC", "BIGNUMERIC"), str),
    **dict.fromkeys(("DATE", "TIME", "DATETIME", "TIMESTAMP"), _iso),
    "BYTES": _encoded,
    "JSON": json.dumps,
}
"""How values are sent as JSON; an object of type JSON is sent as JSON text."""

FROM_TEXT: Converters = {"JSON": json.loads}
"""JSON values are text in Arrow and Parquet."""

FROM_AVRO: Converters = {"JSON": json.loads, "DATETIME": datetime.fromisoformat}
"""In Avro, so are DATETIME values."""


def sent(record: Row, schema: Sequence[SchemaField], by_type: Converters) -> Row:
    """Return a record as JSON, which leaves fields out that are NULL."""
    fields = [field for field in schema if record[field.name] is not None]
    return {field.name: _sent_value(record[field.name], field, by_type) for field in fields}


def _sent_value(value: Any, field: SchemaField, by_type: Converters) -> Any:
    if field.mode == "REPEATED":
        return [_sent_single(item, field, by_type) for item in value]
    return _sent_single(value, field, by_type)


def _sent_single(value: Any, field: SchemaField, by_type: Converters) -> Any:
    if field.fields:
        return sent(value, field.fields, by_type)
    return _converted_single(value, field, by_type)


JSON_ROWS: list[Row] = [sent(values, SCHEMA, TO_JSON) for values in ROWS]
"""The rows of an insertAll request."""


_TO_FILE = {kind: convert for kind, convert in TO_JSON.items() if kind != "JSON"}
FILE_ROWS: list[Row] = [sent(values, SCHEMA, _TO_FILE) for values in ROWS]
"""The rows of a file to load, in which a value of type JSON is one, not its text."""


def insert(client: bigquery.Client, table: str, timeout: float = 60.0) -> None:
    """Make a table of ROWS."""
    client.create_table(bigquery.Table(table, SCHEMA), timeout=timeout)
    assert client.insert_rows_json(table, JSON_ROWS, timeout=timeout) == []


def listed(client: bigquery.Client, table: str, timeout: float = 60.0) -> list[Row]:
    """Return the rows of a table by the REST API."""
    return in_order(client.list_rows(table, timeout=timeout))
