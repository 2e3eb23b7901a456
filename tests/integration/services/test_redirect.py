"""Real clients, in a Python that has the site directory on its path, reach loopback servers."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.model.contract import load_signature
from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.services.redirect import SITE_DIRECTORY

VERTEX_PIPELINE = Path(__file__).with_name("vertex_pipeline.py")


@pytest.fixture
def rest() -> Iterator[tuple[str, list[str]]]:
    """The URL of an HTTP server, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.partition("?")[0])
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def rpc() -> Iterator[tuple[str, list[str]]]:
    """The address of a gRPC server, and the methods that are called."""
    called: list[str] = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            called.append(details.method.rpartition(".")[2])
            # Every message of the API may be empty.
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[Handler()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}", called
        server.stop(None).wait(10)


def run_redirected(code: str, **environment: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SITE_DIRECTORY), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_beams_bigquery_client_reaches_the_emulator(rest: tuple[str, list[str]]) -> None:
    url, asked = rest
    run_redirected(
        "from apache_beam.io.gcp.internal.clients import bigquery\n"
        "client = bigquery.BigqueryV2(get_credentials=False)\n"
        "client.datasets.List(bigquery.BigqueryDatasetsListRequest(projectId='p'))\n",
        BIGQUERY_EMULATOR_HOST=url,
    )
    assert asked == ["/bigquery/v2/projects/p/datasets"]


def test_the_storage_api_clients_reach_the_emulator(rpc: tuple[str, list[str]]) -> None:
    address, called = rpc
    run_redirected(
        "import asyncio\n"
        "from google.auth.credentials import AnonymousCredentials\n"
        "from google.cloud import bigquery_storage_v1 as api\n"
        "from google.cloud.bigquery_storage_v1.services import big_query_read as read_api\n"
        "from google.cloud.bigquery_storage_v1.services import big_query_write as write_api\n"
        "nobody = {'credentials': AnonymousCredentials()}\n"
        "read = {'parent': 'projects/p', 'read_session': {'table': 't'}}\n"
        "api.BigQueryReadClient(**nobody).create_read_session(**read)\n"
        "api.BigQueryWriteClient(**nobody).get_write_stream(name='s')\n"
        "async def main():\n"
        "    await read_api.BigQueryReadAsyncClient(**nobody).create_read_session(**read)\n"
        "    await write_api.BigQueryWriteAsyncClient(**nobody).get_write_stream(name='s')\n"
        "asyncio.run(main())\n",
        BIGQUERY_STORAGE_EMULATOR_HOST=address,
    )
    assert called == [
        "BigQueryRead/CreateReadSession",
        "BigQueryWrite/GetWriteStream",
        "BigQueryRead/CreateReadSession",
        "BigQueryWrite/GetWriteStream",
    ]


def test_a_plain_pipeline_asks_vertex_ai_here(
    stack_environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Under `exec` it reaches the services, and asks nobody else for anything."""
    rows = list(instances(40, seed=5))
    estimates = [[estimate] for estimate in load_signature(str(SHIPPED)).predict(rows)]
    output = tmp_path / "predictions"
    ours = [sys.executable, "-m", "tf_dataflow_serving", "exec", "--services", "external", "--"]
    flags = ["--endpoint", "babyweight-estimator", "--output", str(output)]
    ran = subprocess.run(
        [*ours, sys.executable, VERTEX_PIPELINE, *flags, "--instances", json.dumps(rows)],
        env=stack_environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    predicted = {json.dumps(row): found for row, found in map(json.loads, output.open())}
    assert predicted == {
        json.dumps(row): pytest.approx(estimate)
        for row, estimate in zip(rows, estimates, strict=True)
    }
    assert json.loads(ran.stdout) == {"predictions": [pytest.approx(estimates[0])]}
