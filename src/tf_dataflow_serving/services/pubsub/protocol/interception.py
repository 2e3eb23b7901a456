"""Lets injected faults strike RPCs before these are handled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from tf_dataflow_serving.services.pubsub.faults import Code, Fault, Faults


class FaultInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Asks `faults` about each RPC; a stream is one RPC, struck when it opens."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Return the handler that serves the call, after the delay if there is one."""
        handler = await continuation(handler_call_details)
        fault = self._faults.strike(handler_call_details.method.rpartition("/")[2])
        return handler if fault is None else await _struck(handler, fault)


async def _struck(handler: Any, fault: Fault) -> Any:
    await asyncio.sleep(fault.delay_seconds)
    return handler if fault.code is None else _refusal(handler, fault.code, fault.message)


def _refusal(handler: Any, code: Code, message: str) -> Any:
    """Return a handler of the same arity that fails at once."""
    status = grpc.StatusCode[code.name]

    async def refuse(_request: Any, context: Any) -> None:
        await context.abort(status, message)

    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)
