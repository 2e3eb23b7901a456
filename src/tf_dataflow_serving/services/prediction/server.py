"""Serves the prediction service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.listening import Listening, Port
from tf_dataflow_serving.services.prediction.app import create_app
from tf_dataflow_serving.services.prediction.service import Deployment, open_service


@asynccontextmanager
async def serve(
    listening: Listening,
    storage_url: str,
    deployments: Sequence[Deployment],
    data_dir: Path | None = None,
) -> AsyncIterator[dict[str, int]]:
    """Serve until left; yields {"http": port} once the deployed models answer."""
    async with (
        open_service(storage_url, deployments, data_dir) as service,
        serve_http(create_app(service), listening.port(Port.PREDICTION), listening.host) as bound,
    ):
        yield {"http": bound}
