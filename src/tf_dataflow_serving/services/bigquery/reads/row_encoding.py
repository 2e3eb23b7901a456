"""Rows as the Storage Read API sends them: Arrow record batches, or Avro rows.

Source: "Use the BigQuery Storage Read API to read table data", Arrow schema details and Avro
schema details (https://cloud.google.com/bigquery/docs/reference/storage).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.files.avro import avro_schema
from tf_dataflow_serving.services.bigquery.files.avro_rows import encode_rows
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema, arrow_schema

TARGET_BYTES = 2 * 1024 * 1024
"""How large a block is to be, as rows in memory."""

MOST_BYTES = 8 * 1024 * 1024
"""How large a block may be as it is sent, unless it is a single row."""


class RowFormat(Enum):
    """How rows are sent."""

    ARROW = "ARROW"
    AVRO = "AVRO"


class Compression(StrEnum):
    """What Arrow's buffers are compressed with, in Arrow's own names."""

    NONE = ""
    LZ4 = "lz4"
    ZSTD = "zstd"


@dataclass(frozen=True)
class Block:
    """Some rows of a stream, as they are sent."""

    content: bytes
    rows: int


@dataclass(frozen=True)
class RowEncoder:
    """Writes rows of one schema, which `schema` tells the reader."""

    format: RowFormat
    schema: bytes
    encode: Callable[[pa.RecordBatch], bytes]

    def blocks(self, rows: pa.Table) -> Iterator[Block]:
        """All rows in order, in blocks of bounded size."""
        for batch in rows.to_batches(max_chunksize=_rows_per_block(rows)):
            yield from self._bounded(batch)

    def _bounded(self, batch: pa.RecordBatch) -> Iterator[Block]:
        # Rows may differ much in size, and a block in size from the rows that it holds.
        content = self.encode(batch) if batch.nbytes <= MOST_BYTES else None
        if content is not None and len(content) <= MOST_BYTES:
            yield Block(content, batch.num_rows)
        elif batch.num_rows == 1:
            yield Block(content or self.encode(batch), 1)
        else:
            half = batch.num_rows // 2
            yield from self._bounded(batch.slice(0, half))
            yield from self._bounded(batch.slice(half))


def _rows_per_block(rows: pa.Table) -> int:
    return max(1, int(rows.num_rows * TARGET_BYTES // max(rows.nbytes, 1)))


def arrow_encoder(schema: Schema, compression: Compression) -> RowEncoder:
    """Arrow IPC messages; raises Unsupported for a type that is not sent."""
    declared = pa.schema([_annotated(field) for field in schema])
    options = pa.ipc.IpcWriteOptions(compression=compression.value or None)

    def encode(batch: pa.RecordBatch) -> bytes:
        # The message carries no schema: that of the table will do.
        return _compressed(batch, options) if compression else batch.serialize().to_pybytes()

    return RowEncoder(RowFormat.ARROW, declared.serialize().to_pybytes(), encode)


def avro_encoder(schema: Schema) -> RowEncoder:
    """Avro rows; raises Unsupported for a type that is not sent."""
    declared = avro_schema(schema, logical_types=True)

    def encode(batch: pa.RecordBatch) -> bytes:
        return encode_rows(batch, schema)

    return RowEncoder(RowFormat.AVRO, json.dumps(declared).encode(), encode)


def _compressed(batch: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> bytes:
    """The message alone, out of a stream that begins with the schema."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(stream.getvalue())
    _schema, rows = messages.read_next_message(), messages.read_next_message()
    return bytes(rows.serialize().to_pybytes())


# Arrow has no such types: the columns are of another, and say so, as BigQuery's do.
_EXTENSIONS: Mapping[str, Mapping[str, str]] = {
    "DATETIME": {"ARROW:extension:name": "google:sqlType:datetime"},
    "JSON": {"ARROW:extension:name": "google:sqlType:json"},
    "GEOGRAPHY": {
        "ARROW:extension:name": "google:sqlType:geography",
        "ARROW:extension:metadata": '{"encoding": "WKT"}',
    },
}


def _annotated(field: Field) -> pa.Field:
    """The Arrow field of a column, with what it is in BigQuery."""
    return pa.field(field.name, _annotated_type(field), metadata=_EXTENSIONS.get(field.type))


def _annotated_type(field: Field) -> pa.DataType:
    if field.type != "RECORD":
        return arrow_schema((field,)).field(0).type
    single = pa.struct([_annotated(child) for child in field.fields])
    return pa.list_(single) if field.mode is Mode.REPEATED else single
