"""Runs the gateway's REST API and the Storage API, each on a port of its own."""

import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import httpx
from bqemulator.api.app import create_app
from bqemulator.config import Settings
from bqemulator.domain.clock import SystemClock
from bqemulator.grpc_api.interceptors import DomainErrorTranslationInterceptor
from bqemulator.jobs.upload_session_manager import UploadSessionManager
from starlette.types import ASGIApp

from tf_dataflow_serving.services.bigquery.deduplication import InsertIdWindow
from tf_dataflow_serving.services.bigquery.embedded.database import open_database
from tf_dataflow_serving.services.bigquery.embedded.engine_statements import WriteHandler
from tf_dataflow_serving.services.bigquery.embedded.jobs import install_jobs
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.insertion import Inserter
from tf_dataflow_serving.services.bigquery.protocol.forwarding import Emulator
from tf_dataflow_serving.services.bigquery.protocol.gateway import gateway
from tf_dataflow_serving.services.bigquery.protocol.read_api import read_handlers
from tf_dataflow_serving.services.bigquery.protocol.upstream import upstream_gateway
from tf_dataflow_serving.services.bigquery.reads.read_sessions import ReadSessions, Tables
from tf_dataflow_serving.services.bigquery.upstream.client import TIMEOUT_SECONDS, UpstreamClient
from tf_dataflow_serving.services.bigquery.upstream.history import JobHistory
from tf_dataflow_serving.services.bigquery.upstream.jobs import UpstreamJobs
from tf_dataflow_serving.services.bigquery.upstream.results import ReadableTables
from tf_dataflow_serving.services.bigquery.upstream.warehouse import UpstreamWarehouse
from tf_dataflow_serving.services.bigquery.warehouse import Warehouse
from tf_dataflow_serving.services.child import STOP_GRACE_SECONDS
from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.listening import Listening, Port

_STORAGE_TIMEOUT_SECONDS = 60.0
_READ_THREADS = 8


@asynccontextmanager
async def serve(
    listening: Listening, project: str, storage_url: str, data_dir: Path | None
) -> AsyncIterator[dict[str, int]]:
    """Serve BigQuery; yields {"http": port, "grpc": port} once both answer.

    `storage_url` is where gs:// objects are. Without `data_dir` nothing outlives the service.
    """
    with TemporaryDirectory(prefix="dataflow-serving-bigquery-") as scratch:
        async with (
            open_database(project, Path(scratch), data_dir) as database,
            _objects(storage_url) as objects,
        ):
            install_jobs(database, objects)
            app = gateway(create_app(database.context), database, _inserter(database))
            writing = (WriteHandler(database.context),)
            async with _listen(listening, app, database, writing) as ports:
                yield ports


@asynccontextmanager
async def serve_upstream(
    listening: Listening, storage_url: str, upstream_url: str
) -> AsyncIterator[dict[str, int]]:
    """Serve BigQuery in front of another emulator, which holds the tables and runs the SQL.

    It has no Storage Write API.
    """
    with TemporaryDirectory(prefix="dataflow-serving-bigquery-") as scratch:
        async with (
            httpx.AsyncClient(
                base_url=upstream_url, timeout=TIMEOUT_SECONDS, trust_env=False
            ) as emulator,
            _objects(storage_url) as objects,
        ):
            with closing(UpstreamClient(upstream_url)) as client:
                warehouse = UpstreamWarehouse(client)
                jobs = UpstreamJobs(warehouse, objects, JobHistory(), _now)
                sessions = _upload_sessions(Path(scratch))
                app = upstream_gateway(Emulator(emulator), jobs, _inserter(warehouse), sessions)
                tables = ReadableTables(warehouse, jobs.history)
                async with _listen(listening, app, tables, ()) as ports:
                    yield ports


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def _objects(storage_url: str) -> AsyncIterator[ObjectStore]:
    async with httpx.AsyncClient(
        base_url=storage_url, timeout=_STORAGE_TIMEOUT_SECONDS, trust_env=False
    ) as client:
        yield ObjectStore(client)


def _inserter(warehouse: Warehouse) -> Inserter:
    return Inserter(warehouse, InsertIdWindow(time.monotonic))


def _upload_sessions(scratch: Path) -> UploadSessionManager:
    defaults = Settings()
    return UploadSessionManager(
        staging_dir=scratch / "uploads",
        max_bytes=defaults.upload_max_bytes,
        ttl_seconds=defaults.upload_session_ttl_seconds,
        clock=SystemClock(),
    )


@asynccontextmanager
async def _listen(
    listening: Listening,
    app: ASGIApp,
    tables: Tables,
    handlers: Sequence[grpc.GenericRpcHandler],
) -> AsyncIterator[dict[str, int]]:
    async with (
        serve_http(app, listening.port(Port.BIGQUERY), listening.host) as http_port,
        _serve_grpc(tables, handlers, listening) as bound_port,
    ):
        yield {"http": http_port, "grpc": bound_port}


@asynccontextmanager
async def _serve_grpc(
    tables: Tables, handlers: Sequence[grpc.GenericRpcHandler], listening: Listening
) -> AsyncIterator[int]:
    # Rows are written in messages larger than gRPC's default.
    server = grpc.aio.server(
        interceptors=(DomainErrorTranslationInterceptor(),),
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    sessions = ReadSessions(tables, _now)
    with ThreadPoolExecutor(_READ_THREADS, "bigquery-read") as threads:
        server.add_generic_rpc_handlers([read_handlers(sessions, threads), *handlers])
        place = f"{listening.host}:{listening.port(Port.BIGQUERY_STORAGE)}"
        bound_port = server.add_insecure_port(place)
        await server.start()
        try:
            yield bound_port
        finally:
            await server.stop(STOP_GRACE_SECONDS / 2)
