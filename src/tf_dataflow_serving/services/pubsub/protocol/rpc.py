"""Turns plain functions into gRPC methods, and the broker's errors into status codes."""

from collections.abc import Awaitable, Callable, Mapping
from operator import methodcaller
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2  # type: ignore[import-untyped]
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from tf_dataflow_serving.services.pubsub import errors
from tf_dataflow_serving.services.pubsub.protocol import wire

_CODES: Mapping[type[errors.PubSubError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidAckIds: grpc.StatusCode.INVALID_ARGUMENT,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.StorageFailed: grpc.StatusCode.INTERNAL,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
}

serialize: Callable[[wire.Proto], bytes] = methodcaller("SerializeToString")


async def abort(context: Any, error: errors.PubSubError) -> NoReturn:
    """End a call with the status that stands for this error."""
    code = _CODES[type(error)]
    await context.abort(code, str(error), _details(code, error))
    raise AssertionError("abort returned")


def _details(code: grpc.StatusCode, error: errors.PubSubError) -> tuple[tuple[str, bytes], ...]:
    """Say which ack IDs are invalid, as clients of exactly-once subscriptions expect it.

    Source: `_get_ack_errors` in google/cloud/pubsub_v1/subscriber/_protocol of
    google-cloud-pubsub; the header's name is that of grpc_status.rpc_status.
    """
    if not isinstance(error, errors.InvalidAckIds):
        return ()
    info = error_details_pb2.ErrorInfo(
        reason="EXACTLY_ONCE_ACKID_FAILURE",
        domain="pubsub.googleapis.com",
        metadata=dict.fromkeys(error.ack_ids, "PERMANENT_FAILURE_INVALID_ACK_ID"),
    )
    detail = any_pb2.Any()
    detail.Pack(info)
    status = status_pb2.Status(code=code.value[0], message=str(error), details=[detail])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def unary(handle: Callable[[wire.Proto], wire.Proto], request_type: wire.Proto) -> Any:
    """Serve a method by a function that answers at once."""

    async def answer(request: wire.Proto) -> wire.Proto:
        return handle(request)

    return waiting_unary(answer, request_type)


def waiting_unary(
    handle: Callable[[wire.Proto], Awaitable[wire.Proto]], request_type: wire.Proto
) -> Any:
    """Serve a method by a coroutine function."""

    async def behave(request: wire.Proto, context: Any) -> wire.Proto:
        try:
            return await handle(request)
        except errors.PubSubError as error:
            await abort(context, error)

    return grpc.unary_unary_rpc_method_handler(
        behave, request_deserializer=request_type.FromString, response_serializer=serialize
    )


class Unimplemented(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """Answers every method that no handler before it serves."""

    def service(self, handler_call_details: Any) -> Any:
        """Return a handler that refuses, and says what."""
        method = handler_call_details.method.removeprefix("/")

        async def refuse(_request: bytes, context: Any) -> None:
            await abort(context, errors.Unsupported(method))

        return grpc.unary_unary_rpc_method_handler(refuse)
