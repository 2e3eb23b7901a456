"""Arrow tables of records in Python form, BIGNUMERIC values of 77 digits too."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.types import bignumeric
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema, arrow_schema

Encode = Callable[[Any], Any]


def rows_to_arrow(rows: Sequence[Mapping[str, Any]], schema: Schema) -> pa.Table:
    """An Arrow table of records in Python form, of the types of `arrow_schema`."""
    wanted = arrow_schema(schema)
    columns = [
        _column([row.get(field.name) for row in rows], field, wanted.field(index).type)
        for index, field in enumerate(schema)
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def _column(values: list[Any], field: Field, wanted: pa.DataType) -> pa.Array:
    encode = _encoder(field)
    if encode is None:
        return pa.array(values, wanted)
    # Arrow builds decimals of at most 76 digits: their bytes have the same layout.
    encoded = pa.array([encode(value) for value in values], _in_bytes(wanted))
    return encoded.view(wanted)


def _encoder(field: Field) -> Encode | None:
    """What turns the BIGNUMERIC values in a field into bytes; None if there can't be any."""
    single = _single_encoder(field)
    if single is None:
        return None
    if field.mode is Mode.REPEATED:
        return lambda items: None if items is None else [single(item) for item in items]
    return lambda value: None if value is None else single(value)


def _single_encoder(field: Field) -> Encode | None:
    if field.type == "BIGNUMERIC":
        return bignumeric.to_arrow_bytes
    found = {child.name: _encoder(child) for child in field.fields}
    children = {name: encode for name, encode in found.items() if encode is not None}
    if not children:
        return None
    return lambda record: {
        **record,
        **{name: encode(record.get(name)) for name, encode in children.items()},
    }


def _in_bytes(declared: pa.DataType) -> pa.DataType:
    if declared == bignumeric.DECIMAL:
        return pa.binary(bignumeric.WIDTH)
    if pa.types.is_list(declared):
        return pa.list_(_in_bytes(declared.value_type))
    if pa.types.is_struct(declared):
        return pa.struct([child.with_type(_in_bytes(child.type)) for child in declared])
    return declared
