"""The service as a process: where it listens, what it leaves behind, what it keeps."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tf_dataflow_serving.services.process import ServiceProcess

PROJECT = "local-project"


def start(directory: Path, *arguments: str) -> ServiceProcess:
    (directory / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": "/nonexistent", "TMPDIR": str(directory / "tmp")}
    required = ["--project", PROJECT, "--storage_url", "http://127.0.0.1:1"]
    return ServiceProcess.start(
        "bigquery",
        "tf_dataflow_serving.services.bigquery",
        [*required, *arguments],
        directory / "log",
        environment,
    )


def client_of(service: ServiceProcess) -> bigquery.Client:
    options = ClientOptions(api_endpoint=f"http://127.0.0.1:{service.ports['http']}")
    return bigquery.Client(PROJECT, AnonymousCredentials(), client_options=options)


def test_it_listens_on_the_ports_that_are_asked_for_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = one.getsockname()[1], two.getsockname()[1]
    service = start(tmp_path, "--port", str(ports[0]), "--grpc_port", str(ports[1]))
    try:
        assert (service.ports["http"], service.ports["grpc"]) == ports
        assert list(client_of(service).list_datasets()) == []
    finally:
        service.stop()
    assert service.process.returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_tables_outlive_a_killed_service_that_has_a_data_directory(tmp_path: Path) -> None:
    data = ["--data_dir", str(tmp_path / "data")]
    service = start(tmp_path, *data)
    try:
        client = client_of(service)
        client.create_dataset("kept")
        client.load_table_from_json([{"id": 1}], "kept.rows").result()
        assert client.insert_rows_json("kept.rows", [{"id": 2}]) == []
    finally:
        service.process.kill()
        service.stop()
    again = start(tmp_path, *data)
    try:
        assert sorted(row["id"] for row in client_of(again).list_rows("kept.rows")) == [1, 2]
    finally:
        again.stop()


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode != 0,  # noqa: S607
    reason="this machine does not let us make a network namespace",
)
def test_it_needs_no_network(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from test_bigquery_process import client_of, start\n"
        f"service = start(Path({str(tmp_path)!r}))\n"
        "client = client_of(service)\n"
        "client.create_dataset('d')\n"
        "print([row['one'] for row in client.query('SELECT 1 AS one').result()])\n"
        "service.stop()\n"
    )
    command = f'ip link set lo up && exec {sys.executable} -c "$CODE"'
    ran = subprocess.run(
        ["unshare", "-rn", "sh", "-c", command],  # noqa: S607
        env={**os.environ, "CODE": code, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "[1]\n", ran.stderr
