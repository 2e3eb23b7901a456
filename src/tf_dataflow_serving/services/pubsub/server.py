"""Runs the emulator within an event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, nullcontext
from pathlib import Path
from random import Random

import grpc
import grpc.aio

from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.listening import Listening, Port
from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND, Clock, MovableClock, steady_clock
from tf_dataflow_serving.services.pubsub.control.application import application
from tf_dataflow_serving.services.pubsub.errors import StorageFailed
from tf_dataflow_serving.services.pubsub.faults import Faults
from tf_dataflow_serving.services.pubsub.journal import DEFAULT_CAPACITY, Journal
from tf_dataflow_serving.services.pubsub.protocol.handlers import handlers
from tf_dataflow_serving.services.pubsub.protocol.interception import FaultInterceptor
from tf_dataflow_serving.services.pubsub.store.interface import Store
from tf_dataflow_serving.services.pubsub.store.sqlite import SqliteStore

_log = logging.getLogger(__name__)

# A request that is somewhat too large must reach the check that says so in words.
_MESSAGE_BYTES = 2 * limits.PUBLISH_REQUEST_BYTES
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    # Two emulators must never share a port.
    ("grpc.so_reuseport", 0),
    # The stream of a client that was stopped, or whose network is gone, gets its share of the
    # messages until it is given up: by default after more than a minute.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
)
_STOP_GRACE_SECONDS = 0.5


@asynccontextmanager
async def serve(
    listening: Listening,
    journal_messages: int = DEFAULT_CAPACITY,
    seed: int = 0,
    data_dir: Path | None = None,
) -> AsyncIterator[dict[str, int]]:
    """Serve; yields the ports: `grpc`, and `http` of the control endpoint.

    `seed` decides when injected faults with a probability strike. What the broker holds is kept
    in `data_dir`, without one in memory only.
    """
    due_earlier = asyncio.Event()
    faults = Faults(Random(seed))  # noqa: S311 - repeatable, on purpose
    with _open_store(data_dir) as store:
        clock = MovableClock(steady_clock(store.latest_time()), due_earlier.set)
        broker = Broker(clock, due_earlier.set, store, Journal(journal_messages))
        async with (
            _serve_grpc(broker, faults, listening) as grpc_port,
            serve_http(
                application(broker, faults, clock),
                listening.port(Port.PUBSUB_CONTROL),
                listening.host,
            ) as http_port,
            _keep_time(broker, clock, due_earlier),
        ):
            yield {"grpc": grpc_port, "http": http_port}


def _open_store(data_dir: Path | None) -> AbstractContextManager[Store]:
    return nullcontext(Store()) if data_dir is None else closing(SqliteStore(data_dir))


@asynccontextmanager
async def _serve_grpc(broker: Broker, faults: Faults, listening: Listening) -> AsyncIterator[int]:
    server = grpc.aio.server(options=_OPTIONS, interceptors=[FaultInterceptor(faults)])
    server.add_generic_rpc_handlers(handlers(broker))
    place = f"{listening.host}:{listening.port(Port.PUBSUB)}"
    bound: int = server.add_insecure_port(place)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(_STOP_GRACE_SECONDS)


@asynccontextmanager
async def _keep_time(
    broker: Broker, clock: Clock, due_earlier: asyncio.Event
) -> AsyncIterator[None]:
    """Let all that is due happen; the group ends the service if that ceased."""
    async with asyncio.TaskGroup() as tasks:
        timer = tasks.create_task(_run_due(broker, clock, due_earlier))
        try:
            yield
        finally:
            timer.cancel()


async def _run_due(broker: Broker, clock: Clock, due_earlier: asyncio.Event) -> None:
    """Do each thing in its time; `due_earlier` tells that the time to wait is shorter now."""
    while True:
        due_earlier.clear()
        try:
            broker.run_due()
        except StorageFailed:
            _log.exception("what was due could not be kept; it is tried again")
        try:
            async with asyncio.timeout((broker.next_due() - clock()) / SECOND):
                await due_earlier.wait()
        except TimeoutError:
            continue
