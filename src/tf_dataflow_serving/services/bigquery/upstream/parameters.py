"""Query parameters, put into a statement as literals.

The other emulator takes parameters of some types for text, and none of others. Sources:
QueryParameter (https://cloud.google.com/bigquery/docs/reference/rest/v2/QueryParameter);
"Lexical structure and syntax", for what a parameter cannot be in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode
from tf_dataflow_serving.services.bigquery.types.values import UnknownFields, field_converter
from tf_dataflow_serving.services.bigquery.upstream.ddl import single_type
from tf_dataflow_serving.services.bigquery.upstream.literals import literal

_TOKENS = re.compile(
    r"'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\""
    r"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`"
    r"|--[^\n]*|\#[^\n]*|/\*.*?\*/"
    r"|@@\w+|@(?P<name>[A-Za-z_]\w*)|(?P<mark>\?)",
    re.DOTALL,
)
_CANONICAL = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


def with_parameters(query: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """The query with its parameters' values in their places.

    Raises InvalidQuery for a parameter that has no value, or one that is not of its type.
    """
    named = {str(p["name"]).lower(): _literal(p) for p in parameters if p.get("name")}
    unnamed = iter([_literal(p) for p in parameters if not p.get("name")])
    return _TOKENS.sub(lambda token: _in_place_of(token, named, unnamed), query)


def _in_place_of(token: re.Match[str], named: Mapping[str, str], unnamed: Iterator[str]) -> str:
    if token["mark"]:
        value = next(unnamed, None)
    elif token["name"]:
        value = named.get(token["name"].lower())
    else:
        return token.group(0)
    if value is None:
        raise InvalidQuery(f"Query parameter {token.group(0)} not found")
    return value


def _literal(parameter: Mapping[str, Any]) -> str:
    field = _field("parameter", parameter.get("parameterType") or {})
    value = _value(field, parameter.get("parameterValue") or {})
    converted = field_converter(field, UnknownFields.REJECT)(value)
    # The type of a NULL, and that of an empty array, show nowhere else.
    return f"CAST({literal(field)(converted)} AS {_type(field)})"


def _type(field: Field) -> str:
    single = single_type(field)
    return f"ARRAY<{single}>" if field.mode is Mode.REPEATED else single


def _field(name: str, declared: Mapping[str, Any]) -> Field:
    kind = str(declared.get("type") or "STRING").upper()
    if kind == "ARRAY":
        element = _field(name, declared.get("arrayType") or {})
        return Field(name, element.type, Mode.REPEATED, element.fields)
    members = declared.get("structTypes") or ()
    children = tuple(_field(str(member.get("name")), member["type"]) for member in members)
    return Field(name, _CANONICAL.get(kind, kind), Mode.NULLABLE, children)


def _value(field: Field, sent: Mapping[str, Any]) -> Any:
    if field.mode is Mode.REPEATED:
        single = Field(field.name, field.type, Mode.NULLABLE, field.fields)
        return [_value(single, item) for item in sent.get("arrayValues") or ()]
    if field.type == "RECORD":
        members = sent.get("structValues") or {}
        return {child.name: _value(child, members.get(child.name) or {}) for child in field.fields}
    return sent.get("value")
