"""Turns plain functions into gRPC methods, and the broker's errors into status codes."""

from collections.abc import Awaitable, Callable, Mapping
from operator import methodcaller
from typing import Any, NoReturn

import grpc

from tf_dataflow_serving.services.pubsub import errors, wire

_CODES: Mapping[type[errors.PubSubError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
}

serialize: Callable[[wire.Proto], bytes] = methodcaller("SerializeToString")


async def abort(context: Any, error: errors.PubSubError) -> NoReturn:
    """End a call with the status that stands for this error."""
    await context.abort(_CODES[type(error)], str(error))
    raise AssertionError("abort returned")


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
