"""The child's side of an embedded service: announce readiness, serve, stop with the parent."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from tf_dataflow_serving.errors import UserError

LOOPBACK = "127.0.0.1"
STOP_GRACE_SECONDS = 5.0

Service = AbstractAsyncContextManager[Mapping[str, int]]


def run(service: Service) -> None:
    """Serve until SIGTERM, SIGINT, or the end of standard input.

    The service is a context manager that yields its listening ports by name once it answers.
    They are announced to the parent as one JSON line on standard output. Standard input is
    the parent's lifeline: it ends when the parent does, however that dies. A user's mistake
    that keeps the service from starting is one line in the log.
    """
    announcements = _claim_stdout()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        asyncio.run(_serve(service, announcements))
    except UserError as error:
        sys.exit(f"error: {error}")


async def _serve(service: Service, announcements: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _watch_parent(loop, stop)
    started = asyncio.Event()
    serving = asyncio.create_task(_announced(service, announcements, started, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not started.is_set():
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _announced(
    service: Service, announcements: int, started: asyncio.Event, stop: asyncio.Event
) -> None:
    async with service as ports:
        started.set()
        os.write(announcements, json.dumps(dict(ports)).encode() + b"\n")
        await stop.wait()


def _claim_stdout() -> int:
    """Keep standard output for announcements; whatever libraries print goes to the log."""
    announcements = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return announcements


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def wait_for_end() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            continue
        loop.call_soon_threadsafe(stop.set)
        # A service that hangs must not outlive its parent either.
        threading.Event().wait(STOP_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=wait_for_end, name="parent-watch", daemon=True).start()
