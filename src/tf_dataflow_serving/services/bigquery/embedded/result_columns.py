"""The columns of DuckDB's results in Arrow types that carry BigQuery's values."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.types import bignumeric
from tf_dataflow_serving.services.bigquery.types.geography import text_of

GEOMETRY = "GEOMETRY"
"""What DuckDB calls the type of a GEOGRAPHY value."""

TYPE_KEY = b"bqemu.duckdb_type"
"""The metadata of a field by which bqemulator tells JSON from text, nested fields too."""


def typed_columns(rows: pa.Table, declared: Sequence[Any]) -> pa.Table:
    """The rows with BIGNUMERIC as decimals, GEOGRAPHY as text, and fields tagged with their type.

    `declared` are the DuckDB types of the columns, in order. Raises InvalidQuery.
    """
    _check_text(rows)
    columns = [
        _as_text(bignumeric.from_stored(column), kind)
        for column, kind in zip(rows.columns, declared, strict=True)
    ]
    fields = [
        _tagged(name, column.type, kind)
        for name, column, kind in zip(rows.column_names, columns, declared, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _check_text(rows: pa.Table) -> None:
    """Raise InvalidQuery where a statement made text of what DuckDB keeps for a BIGNUMERIC."""
    for column in rows.columns:
        if (
            pa.types.is_string(column.type)
            and pc.any(pc.match_substring(column, bignumeric.FIELD)).as_py()
        ):
            raise InvalidQuery("BIGNUMERIC is made text here by CAST(... AS STRING) only")


def _as_text(column: Any, declared: Any) -> Any:
    """A column with its GEOGRAPHY values, nested ones too, as WKT rather than WKB."""
    if GEOMETRY not in str(declared):
        return column
    try:
        values = [_text(value, declared) for value in column.to_pylist()]
    except ValueError as error:
        raise InvalidQuery(f"A GEOGRAPHY value cannot be told: {error}") from error
    return pa.chunked_array([pa.array(values, _text_type(column.type, declared))])


def _text(value: Any, declared: Any) -> Any:
    if value is None or GEOMETRY not in str(declared):
        return value
    if declared.id == "list":
        return [_text(item, declared.children[0][1]) for item in value]
    if declared.id == "struct":
        return {name: _text(value[name], kind) for name, kind in declared.children}
    return text_of(value)


def _text_type(arrow: pa.DataType, declared: Any) -> pa.DataType:
    if GEOMETRY not in str(declared):
        return arrow
    if pa.types.is_list(arrow):
        return pa.list_(_text_type(arrow.value_type, declared.children[0][1]))
    if pa.types.is_struct(arrow):
        kinds = [kind for _, kind in declared.children]
        children = zip(arrow, kinds, strict=True)
        return pa.struct([pa.field(c.name, _text_type(c.type, kind)) for c, kind in children])
    return pa.string()


def _tagged(name: str, arrow: pa.DataType, declared: Any) -> pa.Field:
    if arrow == bignumeric.DECIMAL:
        return pa.field(name, arrow)
    if pa.types.is_list(arrow):
        return _tagged_list(name, arrow, declared)
    if pa.types.is_struct(arrow):
        kinds = [kind for _, kind in declared.children]
        fields = [
            _tagged(child.name, child.type, kind) for child, kind in zip(arrow, kinds, strict=True)
        ]
        return pa.field(name, pa.struct(fields), metadata={TYPE_KEY: str(declared).encode()})
    return pa.field(name, arrow, metadata={TYPE_KEY: str(declared).encode()})


def _tagged_list(name: str, arrow: pa.DataType, declared: Any) -> pa.Field:
    """A list, with the tag of its items: bqemulator looks at that of the column only."""
    item = _tagged(arrow.value_field.name, arrow.value_type, declared.children[0][1])
    tag = str(declared).encode() if pa.types.is_struct(item.type) else None
    metadata = {TYPE_KEY: tag} if tag else item.metadata
    return pa.field(name, pa.list_(item), metadata=metadata)
