"""Runs the emulator within an event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from tf_dataflow_serving.services.child import LOOPBACK
from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock, steady_clock
from tf_dataflow_serving.services.pubsub.protocol import handlers

# A request that is somewhat too large must reach the check that says so in words.
_MESSAGE_BYTES = 2 * limits.PUBLISH_REQUEST_BYTES
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    # Two emulators must never share a port.
    ("grpc.so_reuseport", 0),
)
_STOP_GRACE_SECONDS = 0.5


@asynccontextmanager
async def serve(port: int = 0) -> AsyncIterator[dict[str, int]]:
    """Serve on 127.0.0.1; yields the port, a free one if `port` is 0, as `grpc`."""
    leased = asyncio.Event()
    clock = steady_clock()
    broker = Broker(clock, leased.set)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(handlers(broker))
    bound = server.add_insecure_port(f"{LOOPBACK}:{port}")
    # The group ends the service if leases ceased to expire.
    async with asyncio.TaskGroup() as tasks:
        expiry = tasks.create_task(_expire_leases(broker, clock, leased))
        await server.start()
        try:
            yield {"grpc": bound}
        finally:
            await server.stop(_STOP_GRACE_SECONDS)
            expiry.cancel()


async def _expire_leases(broker: Broker, clock: Clock, leased: asyncio.Event) -> None:
    """Let each lease end in its time; `leased` tells that there is an earlier one."""
    while True:
        leased.clear()
        broker.expire_leases()
        due = broker.next_expiry()
        try:
            async with asyncio.timeout(None if due is None else (due - clock()) / SECOND):
                await leased.wait()
        except TimeoutError:
            continue
