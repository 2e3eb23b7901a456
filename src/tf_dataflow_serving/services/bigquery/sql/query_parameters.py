"""Query parameters as DuckDB takes them, each of the type that the client declared.

Source: QueryParameter, QueryParameterType
(https://cloud.google.com/bigquery/docs/reference/rest/v2/QueryParameter).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery, Unsupported
from tf_dataflow_serving.services.bigquery.types.columns import DUCKDB_TYPES, identifier
from tf_dataflow_serving.services.bigquery.types.schema import Field
from tf_dataflow_serving.services.bigquery.types.values import UnknownFields, field_converter

# Text, quoted names and comments are skipped: what looks like a parameter in them is none.
_TOKENS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/"""
    r"""|[@$](?P<name>[A-Za-z_]\w*)|(?P<mark>\?)""",
    re.DOTALL,
)
_CANONICAL = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
_NO_PARAMETER = frozenset({"GEOGRAPHY", "INTERVAL"})
_AS_TEXT = frozenset({"BIGNUMERIC", "NUMERIC"})


@dataclass(frozen=True)
class Bound:
    """An expression with a `?` for each of its values."""

    sql: str
    values: tuple[Any, ...] = ()


def bind_parameters(
    sql: str, parameters: Sequence[Mapping[str, Any]] | None = None
) -> tuple[str, list[Any]]:
    """Put every parameter into a DuckDB statement; returns it and the values of its `?`.

    Raises InvalidQuery for a value that is not of its type or has no `?`, Unsupported for a
    type that cannot be a parameter here.
    """
    if not parameters:
        return sql, []
    bound = [_bound(p.get("parameterType") or {}, p.get("parameterValue")) for p in parameters]
    pairs = list(zip(parameters, bound, strict=True))
    named = {str(p["name"]).lower(): each for p, each in pairs if p.get("name")}
    unnamed = iter([each for p, each in pairs if not p.get("name")])
    values: list[Any] = []

    def put(token: re.Match[str]) -> str:
        parameter = _parameter(token, named, unnamed)
        if parameter is None:
            return token.group(0)
        values.extend(parameter.values)
        return parameter.sql

    statement = _TOKENS.sub(put, sql)
    if next(unnamed, None) is not None:
        raise InvalidQuery("Too many positional query parameters")
    return statement, values


def _parameter(
    token: re.Match[str], named: Mapping[str, Bound], unnamed: Iterator[Bound]
) -> Bound | None:
    if token["mark"]:
        return next(unnamed, None)
    return named.get(token["name"].lower()) if token["name"] else None


def _bound(declared: Mapping[str, Any], value: Mapping[str, Any] | None) -> Bound:
    kind = str(declared.get("type") or "STRING").upper()
    if kind == "ARRAY":
        return _array(declared.get("arrayType") or {}, value or {})
    if kind == "STRUCT":
        return _struct(declared.get("structTypes") or (), value or {})
    return _scalar(_CANONICAL.get(kind, kind), (value or {}).get("value"))


def _scalar(kind: str, value: Any) -> Bound:
    if kind not in DUCKDB_TYPES or kind in _NO_PARAMETER:
        raise Unsupported(f"Query parameters of type {kind} are not supported")
    field = Field("parameter", kind)
    converted = field_converter(field, UnknownFields.REJECT)(value)
    if kind in _AS_TEXT and converted is not None:
        # DuckDB makes a DOUBLE of a long decimal.
        converted = f"{converted:f}"
    if kind == "BIGNUMERIC":
        return Bound("bqemu_to_bignumeric(CAST(? AS VARCHAR))", (converted,))
    return Bound(f"CAST(? AS {DUCKDB_TYPES[kind]})", (converted,))


def _array(element: Mapping[str, Any], value: Mapping[str, Any]) -> Bound:
    items = [_bound(element, item) for item in value.get("arrayValues") or ()]
    values = tuple(each for item in items for each in item.values)
    listed = ", ".join(item.sql for item in items)
    return Bound(f"CAST([{listed}] AS {_duckdb_type(element)}[])", values)


def _struct(fields: Sequence[Mapping[str, Any]], value: Mapping[str, Any]) -> Bound:
    sent = value.get("structValues") or {}
    members = [(str(f.get("name") or ""), f.get("type") or {}) for f in fields]
    bound = [(name, _bound(kind, sent.get(name))) for name, kind in members]
    packed = ", ".join(f"{identifier(name)} := {each.sql}" for name, each in bound)
    values = tuple(each for _, member in bound for each in member.values)
    return Bound(f"struct_pack({packed})", values)


def _duckdb_type(declared: Mapping[str, Any]) -> str:
    kind = str(declared.get("type") or "STRING").upper()
    if kind == "STRUCT":
        members = declared.get("structTypes") or ()
        each = (f"{identifier(str(m.get('name')))} {_duckdb_type(m['type'])}" for m in members)
        return f"STRUCT({', '.join(each)})"
    if kind == "ARRAY":
        raise InvalidQuery("Cannot construct array with element type ARRAY")
    return DUCKDB_TYPES[_CANONICAL.get(kind, kind)]
