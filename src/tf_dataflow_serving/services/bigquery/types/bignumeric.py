"""BIGNUMERIC values, whose range is that of a 256-bit integer of units of 1e-38.

Source: "Decimal types" (https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types).
Arrow's decimal256(76, 38) holds all of it, though its ends have 77 digits. DuckDB has no such
type: it stores the 32 bytes of the integer, the highest first and the sign bit turned, so that
they sort as the numbers do. They are in a struct, so that a function that is meant for numbers
or text does not take them.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WIDTH = 32
SCALE = 38
DECIMAL = pa.decimal256(76, SCALE)
FIELD = "__bignumeric__"
STORED = pa.struct([pa.field(FIELD, pa.binary())])
DUCKDB_TYPE = f"STRUCT({FIELD} BLOB)"
MIN, MAX = -(2**255), 2**255 - 1

_EXACT = Context(prec=200)
_SIGN_BIT = 0x80


def to_units(number: Decimal) -> int:
    """Units of 1e-38, rounded half away from zero; raises OverflowError, ValueError."""
    if not number.is_finite():
        raise ValueError("not a number")
    if number.adjusted() > SCALE:
        raise OverflowError("out of range")
    units = int(number.scaleb(SCALE, _EXACT).to_integral_value(ROUND_HALF_UP, _EXACT))
    return checked(units)


def from_units(units: int) -> Decimal:
    """The number of so many units of 1e-38."""
    return Decimal(units).scaleb(-SCALE, _EXACT)


def checked(units: int) -> int:
    """The units themselves; raises OverflowError if BIGNUMERIC does not hold them."""
    if not MIN <= units <= MAX:
        raise OverflowError("BIGNUMERIC out of range")
    return units


def stored_bytes(units: int) -> bytes:
    """The bytes that DuckDB keeps."""
    return (units - MIN).to_bytes(WIDTH, "big")


def units_of(stored: bytes) -> int:
    """The units of 1e-38 that stored bytes mean."""
    return int.from_bytes(stored, "big") + MIN


def to_arrow_bytes(number: Decimal) -> bytes:
    """The bytes of a value in an Arrow array of the type `DECIMAL`.

    Arrow itself builds such arrays of at most 76 digits.
    """
    return to_units(number).to_bytes(WIDTH, "little", signed=True)


def to_stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with every decimal of the type `DECIMAL`, nested too, as DuckDB keeps it."""
    wanted = _replaced(column.type, DECIMAL, STORED)
    if wanted == column.type:
        return column
    return pa.chunked_array([_mapped(chunk, DECIMAL, _stored) for chunk in column.chunks], wanted)


def from_stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with everything that DuckDB keeps as `STORED`, nested too, as decimals."""
    wanted = _replaced(column.type, STORED, DECIMAL)
    if wanted == column.type:
        return column
    return pa.chunked_array([_mapped(chunk, STORED, _decimals) for chunk in column.chunks], wanted)


def _replaced(declared: pa.DataType, old: pa.DataType, new: pa.DataType) -> pa.DataType:
    if declared == old:
        return new
    if pa.types.is_list(declared):
        item = declared.value_field
        return pa.list_(item.with_type(_replaced(item.type, old, new)))
    if pa.types.is_struct(declared):
        fields = [child.with_type(_replaced(child.type, old, new)) for child in declared]
        return pa.struct(fields)
    return declared


def _mapped(array: Any, old: pa.DataType, convert: Any) -> Any:
    """The array with every part of the type `old` put through `convert`."""
    if array.type == old:
        return convert(array)
    if pa.types.is_list(array.type):
        return _mapped_list(array, old, convert)
    if pa.types.is_struct(array.type) and array.type.num_fields:
        children = [
            _mapped(array.field(index), old, convert) for index in range(array.type.num_fields)
        ]
        fields = [
            field.with_type(child.type) for field, child in zip(array.type, children, strict=True)
        ]
        return pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null())
    return array


def _mapped_list(array: Any, old: pa.DataType, convert: Any) -> Any:
    values = _mapped(array.values, old, convert)
    # A copy: offsets that are themselves a slice do not go with a mask.
    offsets = pa.array(array.offsets.to_numpy().copy(), pa.int32())
    declared = pa.list_(array.type.value_field.with_type(values.type))
    return pa.ListArray.from_arrays(offsets, values, type=declared, mask=array.is_null())


def _stored(array: Any) -> Any:
    little_endian = _rows(array.view(pa.binary(WIDTH)))
    turned = little_endian[:, ::-1].copy()
    turned[:, 0] ^= _SIGN_BIT
    binary = pa.Array.from_buffers(pa.binary(WIDTH), len(array), [None, pa.py_buffer(turned)])
    blobs = binary.cast(pa.binary())
    return pa.StructArray.from_arrays([blobs], fields=list(STORED), mask=array.is_null())


def _decimals(array: Any) -> Any:
    # Absent structs have children of any content.
    blobs = pc.if_else(array.is_valid(), array.field(0), None)
    turned = _rows(blobs.fill_null(bytes(WIDTH)).cast(pa.binary(WIDTH))).copy()
    turned[:, 0] ^= _SIGN_BIT
    little_endian = pa.py_buffer(np.ascontiguousarray(turned[:, ::-1]))
    values = pa.Array.from_buffers(DECIMAL, len(array), [None, little_endian])
    return pc.if_else(blobs.is_valid(), values, pa.scalar(None, DECIMAL))


def _rows(array: Any) -> Any:
    """The bytes of an array of fixed width, one row a value."""
    data = np.frombuffer(array.buffers()[1] or b"", np.uint8)
    start = array.offset * WIDTH
    return data[start : start + len(array) * WIDTH].reshape(-1, WIDTH)
