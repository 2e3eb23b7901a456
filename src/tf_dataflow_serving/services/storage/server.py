"""The running service."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.storage.errors import DataDirectoryInUse
from tf_dataflow_serving.services.storage.protocol.application import application
from tf_dataflow_serving.services.storage.storage import Storage, open_storage


@asynccontextmanager
async def serve(port: int, data_dir: Path | None) -> AsyncIterator[dict[str, int]]:
    """Serve on 127.0.0.1; yields the port as "http".

    Without a data directory everything is gone when the service ends.
    """
    with ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(TemporaryDirectory(prefix="storage-")))
        storage = _open(directory, stack)
        async with serve_http(application(storage), port) as listening:
            yield {"http": listening}


def _open(directory: Path, stack: ExitStack) -> Storage:
    try:
        return stack.enter_context(open_storage(directory))
    except (OSError, sqlite3.Error, DataDirectoryInUse) as error:
        raise UserError(f"The data directory {directory} cannot be used: {error}") from error
