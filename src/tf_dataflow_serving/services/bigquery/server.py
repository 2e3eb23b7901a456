"""Runs the gateway's REST API and bqemulator's Storage API, each on a port of its own."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import httpx
from bqemulator.api.app import create_app
from bqemulator.api.dependencies import AppContext
from bqemulator.grpc_api.interceptors import DomainErrorTranslationInterceptor
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler

from tf_dataflow_serving.services.bigquery.database import open_database
from tf_dataflow_serving.services.bigquery.deduplication import InsertIdWindow
from tf_dataflow_serving.services.bigquery.engine import ReadHandler
from tf_dataflow_serving.services.bigquery.insertion import Inserter
from tf_dataflow_serving.services.bigquery.jobs import install_jobs
from tf_dataflow_serving.services.bigquery.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.protocol.gateway import gateway
from tf_dataflow_serving.services.child import LOOPBACK, STOP_GRACE_SECONDS
from tf_dataflow_serving.services.http import serve_http

_STORAGE_TIMEOUT_SECONDS = 60.0


@asynccontextmanager
async def serve(
    port: int, grpc_port: int, project: str, storage_url: str, data_dir: Path | None
) -> AsyncIterator[dict[str, int]]:
    """Serve BigQuery; yields {"http": port, "grpc": port} once both answer.

    `storage_url` is where gs:// objects are. Without `data_dir` nothing outlives the service.
    """
    with TemporaryDirectory(prefix="dataflow-serving-bigquery-") as scratch:
        async with (
            open_database(project, Path(scratch), data_dir) as database,
            httpx.AsyncClient(
                base_url=storage_url, timeout=_STORAGE_TIMEOUT_SECONDS, trust_env=False
            ) as storage,
        ):
            install_jobs(database, ObjectStore(storage))
            inserter = Inserter(database, InsertIdWindow(time.monotonic))
            app = gateway(create_app(database.context), database, inserter)
            async with (
                serve_http(app, port) as http_port,
                _serve_grpc(database.context, grpc_port) as bound_port,
            ):
                yield {"http": http_port, "grpc": bound_port}


@asynccontextmanager
async def _serve_grpc(context: AppContext, port: int) -> AsyncIterator[int]:
    # Rows are sent in messages larger than gRPC's default; clients set no limit either.
    server = grpc.aio.server(
        interceptors=(DomainErrorTranslationInterceptor(),),
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    server.add_generic_rpc_handlers([ReadHandler(context), BigQueryWriteHandler(context)])
    bound_port = server.add_insecure_port(f"{LOOPBACK}:{port}")
    await server.start()
    try:
        yield bound_port
    finally:
        await server.stop(STOP_GRACE_SECONDS / 2)
