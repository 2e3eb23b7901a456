"""The methods of google.cloud.bigquery.storage.v1.BigQueryRead.

Source: "Package google.cloud.bigquery.storage.v1"
(https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import grpc
from google.cloud.bigquery_storage_v1 import types

from tf_dataflow_serving.services.bigquery import errors
from tf_dataflow_serving.services.bigquery.reads.read_sessions import (
    Portion,
    Progress,
    ReadRequest,
    ReadSessions,
    Session,
)
from tf_dataflow_serving.services.bigquery.reads.row_encoding import (
    Compression,
    RowEncoder,
    RowFormat,
)
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"

_TABLE = re.compile(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)")
_PARENT = re.compile(r"projects/([^/]+)")
_EVERY_ROW = 100.0

_FORMATS: Mapping[int, RowFormat] = {
    types.DataFormat.ARROW: RowFormat.ARROW,
    types.DataFormat.AVRO: RowFormat.AVRO,
}
_CODECS = types.ArrowSerializationOptions.CompressionCodec
_COMPRESSIONS: Mapping[int, Compression] = {
    _CODECS.COMPRESSION_UNSPECIFIED: Compression.NONE,
    _CODECS.LZ4_FRAME: Compression.LZ4,
    _CODECS.ZSTD: Compression.ZSTD,
}
_STATUS: Mapping[type[errors.BigQueryError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.BackendFailed: grpc.StatusCode.UNAVAILABLE,
}

Proto = Any
T = TypeVar("T")


def read_handlers(sessions: ReadSessions, threads: Executor) -> grpc.GenericRpcHandler:
    """Return the gRPC handlers; what takes long is done in `threads`."""
    api = _ReadApi(sessions, threads)
    handlers = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            api.create_read_session,
            types.CreateReadSessionRequest.pb().FromString,
            types.ReadSession.pb().SerializeToString,
        ),
        "ReadRows": grpc.unary_stream_rpc_method_handler(
            api.read_rows,
            types.ReadRowsRequest.pb().FromString,
            types.ReadRowsResponse.pb().SerializeToString,
        ),
        "SplitReadStream": grpc.unary_unary_rpc_method_handler(
            api.split_read_stream,
            types.SplitReadStreamRequest.pb().FromString,
            types.SplitReadStreamResponse.pb().SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


class _ReadApi:
    def __init__(self, sessions: ReadSessions, threads: Executor) -> None:
        self._sessions = sessions
        self._threads = threads

    async def create_read_session(self, request: Proto, context: Any) -> Proto:
        async def create() -> Proto:
            wanted = _read_request(request)
            session = await self._in_thread(self._sessions.create, wanted)
            return _encoded_session(session, request.read_session)

        return await _answered(create(), context)

    async def read_rows(self, request: Proto, context: Any) -> AsyncIterator[Proto]:
        async def find() -> Portion:
            return self._sessions.read(request.read_stream, request.offset)

        portion = await _answered(find(), context)
        blocks, response = portion.blocks(), _schema_response(portion)
        while progress := await _answered(self._in_thread(next, blocks, None), context):
            yield _with_rows(response, progress, portion)
            # The first response tells the schema to readers that know the stream only.
            response = types.ReadRowsResponse.pb()()

    async def split_read_stream(self, request: Proto, context: Any) -> Proto:
        async def split() -> Proto:
            halves = self._sessions.split(request.name, request.fraction)
            # Neither stream in the answer: this one can't be split, and goes on as it is.
            names = zip(("primary_stream", "remainder_stream"), halves or (), strict=False)
            streams = {field: {"name": name} for field, name in names}
            return types.SplitReadStreamResponse.pb()(**streams)

        return await _answered(split(), context)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


async def _answered(work: Awaitable[T], context: Any) -> T:
    try:
        return await work
    except errors.BigQueryError as error:
        await _abort(error, context)


async def _abort(error: errors.BigQueryError, context: Any) -> NoReturn:
    await context.abort(_STATUS.get(type(error), grpc.StatusCode.INVALID_ARGUMENT), error.message)
    raise AssertionError("abort returned")


def _read_request(request: Proto) -> ReadRequest:
    """Read a CreateReadSessionRequest; raises InvalidRequest, Unsupported."""
    session = request.read_session
    options = session.read_options
    parent = _PARENT.fullmatch(request.parent)
    if parent is None:
        raise errors.InvalidRequest(f"request failed: Invalid parent: {request.parent!r}")
    _check_sampling(options)
    return ReadRequest(
        project=parent[1],
        table=_table(session.table),
        format=_format(session.data_format),
        columns=tuple(options.selected_fields),
        restriction=options.row_restriction,
        compression=_compression(options.arrow_serialization_options.buffer_compression),
        most_streams=request.max_stream_count,
        fewest_streams=request.preferred_min_stream_count,
        snapshot=_snapshot(session.table_modifiers),
    )


def _table(path: str) -> TableRef:
    parts = _TABLE.fullmatch(path)
    if parts is None:
        raise errors.InvalidRequest(f"request failed: Invalid table: {path!r}")
    return TableRef(*parts.groups())


def _format(number: int) -> RowFormat:
    try:
        return _FORMATS[number]
    except KeyError:
        message = f"request failed: data_format must be ARROW or AVRO, not {number}"
        raise errors.InvalidRequest(message) from None


def _compression(number: int) -> Compression:
    try:
        return _COMPRESSIONS[number]
    except KeyError:
        message = f"request failed: Unknown buffer_compression: {number}"
        raise errors.InvalidRequest(message) from None


def _check_sampling(options: Proto) -> None:
    if options.HasField("sample_percentage") and options.sample_percentage != _EVERY_ROW:
        raise errors.Unsupported("Only whole tables can be read: sample_percentage")


def _snapshot(modifiers: Proto) -> datetime | None:
    if not modifiers.HasField("snapshot_time"):
        return None
    moment: datetime = modifiers.snapshot_time.ToDatetime(tzinfo=UTC)
    return moment


def _encoded_session(session: Session, asked: Proto) -> Proto:
    """The answer is what was asked for, and what the service adds."""
    answer = types.ReadSession.pb()()
    answer.CopyFrom(asked)
    answer.name = session.name
    answer.expire_time.FromDatetime(session.expires)
    answer.estimated_total_bytes_scanned = session.rows.nbytes
    answer.estimated_row_count = session.rows.num_rows
    answer.streams.extend(types.ReadStream.pb()(name=name) for name in session.streams)
    _tell_schema(answer, session.encoder)
    return answer


def _schema_response(portion: Portion) -> Proto:
    response = types.ReadRowsResponse.pb()()
    _tell_schema(response, portion.encoder)
    return response


def _tell_schema(answer: Proto, encoder: RowEncoder) -> None:
    if encoder.format is RowFormat.ARROW:
        answer.arrow_schema.serialized_schema = encoder.schema
    else:
        answer.avro_schema.schema = encoder.schema.decode()


def _with_rows(response: Proto, progress: Progress, portion: Portion) -> Proto:
    response.row_count = progress.block.rows
    response.stats.progress.at_response_start = progress.before
    response.stats.progress.at_response_end = progress.after
    if portion.encoder.format is RowFormat.ARROW:
        response.arrow_record_batch.serialized_record_batch = progress.block.content
    else:
        response.avro_rows.serialized_binary_rows = progress.block.content
    return response
