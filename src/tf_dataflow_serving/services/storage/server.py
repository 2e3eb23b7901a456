"""The running service."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.listening import Listening, Port
from tf_dataflow_serving.services.storage.errors import DataDirectoryInUse
from tf_dataflow_serving.services.storage.protocol.application import application
from tf_dataflow_serving.services.storage.protocol.upstream import upstream_application
from tf_dataflow_serving.services.storage.storage import Storage, open_storage

_UPSTREAM_TIMEOUT_SECONDS = 60.0


@asynccontextmanager
async def serve(listening: Listening, data_dir: Path | None) -> AsyncIterator[dict[str, int]]:
    """Serve; yields the port as "http".

    Without a data directory everything is gone when the service ends.
    """
    with ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(TemporaryDirectory(prefix="storage-")))
        storage = _open(directory, stack)
        port = listening.port(Port.STORAGE)
        async with serve_http(application(storage), port, listening.host) as bound:
            yield {"http": bound}


@asynccontextmanager
async def serve_upstream(listening: Listening, upstream_url: str) -> AsyncIterator[dict[str, int]]:
    """Serve in front of another emulator, which holds the objects; yields the port as "http"."""
    async with httpx.AsyncClient(
        base_url=upstream_url, timeout=_UPSTREAM_TIMEOUT_SECONDS, trust_env=False
    ) as client:
        port = listening.port(Port.STORAGE)
        async with serve_http(upstream_application(client), port, listening.host) as bound:
            yield {"http": bound}


def _open(directory: Path, stack: ExitStack) -> Storage:
    try:
        return stack.enter_context(open_storage(directory))
    except (OSError, sqlite3.Error, DataDirectoryInUse) as error:
        raise UserError(f"The data directory {directory} cannot be used: {error}") from error
