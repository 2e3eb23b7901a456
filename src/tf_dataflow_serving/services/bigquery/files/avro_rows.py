"""Encodes the rows of an Arrow table as Avro, whole columns at a time.

Source: "Apache Avro Specification", Binary Encoding. The types are those of
`avro.avro_schema` with logical types. Visiting every value in Python takes ten times as long.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tf_dataflow_serving.services.bigquery.errors import InvalidData, Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# The members of the union ["null", type], zigzag encoded.
_NULL, _VALUE = 0, 2
_END_OF_ARRAY = 0


@dataclass(frozen=True)
class _Pieces:
    """A run of bytes for every row: the first `lengths[0]` of `data` are the first row's."""

    data: Bytes
    lengths: Integers


def encode_rows(rows: pa.RecordBatch, schema: Schema) -> bytes:
    """The Avro records of `rows`, one after another, without a header.

    The columns are those of `schema`, of the types of `arrow_schema`. Raises InvalidData for a
    NULL where the schema has none.
    """
    return _joined(_record(rows.to_struct_array(), schema)).data.tobytes()


def _record(rows: pa.StructArray, schema: Schema) -> list[_Pieces]:
    columns = ((rows.field(field.name), field) for field in schema)
    return [piece for column, field in columns for piece in _in_mode(column, field)]


def _in_mode(column: pa.Array, field: Field) -> list[_Pieces]:
    if field.mode is Mode.REPEATED:
        return _array(column, field)
    if field.mode is Mode.REQUIRED:
        return _values(column, field)
    return _union(column, field)


def _union(column: pa.Array, field: Field) -> list[_Pieces]:
    present = column.is_valid().to_numpy(zero_copy_only=False)
    tags = np.where(present, _VALUE, _NULL).astype(np.uint8)
    values = _values(column.drop_null(), field)
    return [_fixed(tags), *(_spread(piece, present) for piece in values)]


def _array(column: pa.ListArray, field: Field) -> list[_Pieces]:
    """One block of all items, then the empty block that ends an array."""
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    items = _joined(_values(column.flatten(), field))
    ends = np.concatenate(([0], np.cumsum(items.lengths)))[np.cumsum(counts)]
    filled = counts > 0
    block_sizes = _spread(_varints(counts[filled]), filled)
    contents = _Pieces(items.data, np.diff(ends, prepend=0))
    return [block_sizes, contents, _fixed(np.full(len(counts), _END_OF_ARRAY, np.uint8))]


def _values(column: pa.Array, field: Field) -> list[_Pieces]:
    if column.null_count:
        raise InvalidData(f"Field {field.name} must not be NULL", field.name)
    if field.type == "RECORD":
        return _record(column, field.fields)
    try:
        return _SCALARS[field.type](column)
    except KeyError:
        raise Unsupported(f"Values of type {field.type} cannot be exported", field.name) from None


def _longs(column: pa.Array) -> list[_Pieces]:
    return [_varints(column.view(pa.int64()).to_numpy())]


def _dates(column: pa.Array) -> list[_Pieces]:
    return [_varints(column.view(pa.int32()).to_numpy().astype(np.int64))]


def _booleans(column: pa.Array) -> list[_Pieces]:
    return [_fixed(column.to_numpy(zero_copy_only=False).astype(np.uint8))]


def _doubles(column: pa.Array) -> list[_Pieces]:
    return [_fixed(column.to_numpy().astype("<f8").view(np.uint8).reshape(-1, 8))]


def _strings(column: pa.Array) -> list[_Pieces]:
    lengths = pc.binary_length(column).to_numpy().astype(np.int64)
    return [_varints(lengths), _Pieces(_contents(column), lengths)]


def _contents(column: pa.Array) -> Bytes:
    """The bytes of all strings of a column, one after another."""
    _, offsets, data = column.buffers()
    if data is None:
        return np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[1]]


def _datetimes(column: pa.Array) -> list[_Pieces]:
    """ISO 8601, without the fraction where it is none."""
    text = pc.utf8_replace_slice(column.cast(pa.string()), 10, 11, "T")
    whole = pc.ends_with(text, ".000000")
    return _strings(pc.if_else(whole, pc.utf8_slice_codeunits(text, 0, 19), text))


def _decimals(column: pa.Array) -> list[_Pieces]:
    """The unscaled value in two's complement, big endian, in as few bytes as will do."""
    width = column.type.byte_width
    start = column.offset * width
    stored = np.frombuffer(column.buffers()[1], np.uint8)[start : start + len(column) * width]
    big_endian = stored.reshape(-1, width)[:, ::-1]
    sign = (big_endian[:, :1] >> 7).astype(np.uint8)
    redundant = (big_endian[:, :-1] == sign * np.uint8(0xFF)) & (big_endian[:, 1:] >> 7 == sign)
    first = np.logical_and.accumulate(redundant, axis=1).sum(axis=1, dtype=np.int64)
    kept = np.arange(width) >= first[:, None]
    lengths = width - first
    return [_varints(lengths), _Pieces(big_endian[kept], lengths)]


_SCALARS: Mapping[str, Callable[[pa.Array], list[_Pieces]]] = {
    "INTEGER": _longs,
    "FLOAT": _doubles,
    "BOOLEAN": _booleans,
    "STRING": _strings,
    "BYTES": _strings,
    "NUMERIC": _decimals,
    "BIGNUMERIC": _decimals,
    "DATE": _dates,
    "TIME": _longs,
    "DATETIME": _datetimes,
    "TIMESTAMP": _longs,
    "JSON": _strings,
    "GEOGRAPHY": _strings,
}


def _varints(numbers: Integers) -> _Pieces:
    """Zigzag, then seven bits a byte, the lowest first, the highest bit set but in the last."""
    zigzag = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    limit = max(1, -(-int(zigzag.max(initial=0)).bit_length() // 7))
    shifts = np.arange(limit, dtype=np.uint64) * np.uint64(7)
    groups = zigzag[:, None] >> shifts
    used = groups != 0
    used[:, 0] = True
    continued = np.zeros_like(used)
    continued[:, :-1] = used[:, 1:]
    encoded = (groups & np.uint64(0x7F)).astype(np.uint8) | (continued.astype(np.uint8) << 7)
    return _Pieces(encoded[used], used.sum(axis=1, dtype=np.int64))


def _fixed(values: Bytes) -> _Pieces:
    """Rows of the same number of bytes."""
    return _Pieces(values.reshape(-1), np.full(len(values), values[:1].size, np.int64))


def _spread(pieces: _Pieces, present: Flags) -> _Pieces:
    """Give the pieces to the rows that are present, and nothing to the others."""
    lengths = np.zeros(len(present), np.int64)
    lengths[present] = pieces.lengths
    return _Pieces(pieces.data, lengths)


def _joined(pieces: Sequence[_Pieces]) -> _Pieces:
    """Put the pieces of each row one after another."""
    lengths = np.stack([piece.lengths for piece in pieces])
    ends = np.cumsum(lengths.T).reshape(lengths.T.shape).T
    joined = np.empty(int(lengths.sum()), np.uint8)
    for piece, end in zip(pieces, ends, strict=True):
        _place(piece, end - piece.lengths, joined)
    return _Pieces(joined, lengths.sum(axis=0))


def _place(piece: _Pieces, starts: Integers, target: Bytes) -> None:
    shifts = starts - (np.cumsum(piece.lengths) - piece.lengths)
    target[np.arange(len(piece.data)) + np.repeat(shifts, piece.lengths)] = piece.data
