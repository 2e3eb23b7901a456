"""Serves the prediction service on a loopback port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.prediction.protocol import create_app
from tf_dataflow_serving.services.prediction.service import Deployment, open_service


@asynccontextmanager
async def serve(
    port: int, storage_url: str, deployments: Sequence[Deployment]
) -> AsyncIterator[dict[str, int]]:
    """Serve until left; yields {"http": port} once the deployed models answer."""
    async with (
        open_service(storage_url, deployments) as service,
        serve_http(create_app(service), port) as bound,
    ):
        yield {"http": bound}
