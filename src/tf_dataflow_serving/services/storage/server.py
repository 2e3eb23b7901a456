"""The running service."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.storage.protocol.application import application
from tf_dataflow_serving.services.storage.storage import open_storage


@asynccontextmanager
async def serve(port: int, data_dir: Path | None) -> AsyncIterator[dict[str, int]]:
    """Serve on 127.0.0.1; yields the port as "http".

    Without a data directory everything is gone when the service ends.
    """
    with ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(TemporaryDirectory(prefix="storage-")))
        storage = stack.enter_context(open_storage(directory))
        async with serve_http(application(storage), port) as listening:
            yield {"http": listening}
