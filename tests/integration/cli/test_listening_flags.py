"""`services up --host ... --ports ...`: what is refused, and before anything starts."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

TIMEOUT = 100.0
UP = [sys.executable, "-m", "tf_dataflow_serving", "services", "up"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "EMULATOR" not in name}
    return {
        **kept,
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "DATAFLOW_SERVING_STATE": str(tmp_path / "services.json"),
    }


def up(environment: Mapping[str, str], *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*UP, *flags],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--ports", "spanner=1"], "argument --ports: there is no port 'spanner'"),
        (["--ports", "storage=0"], "argument --ports: 0 is not a port"),
        (["--ports", "storage=1,pubsub=1"], "argument --ports: 1 is the port of both"),
        (["--host", "192.168.1.7"], "argument --host: '192.168.1.7' is neither"),
        (["--services", "containers", "--ports", "fixed"], "--ports are for the embedded services"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    environment: dict[str, str], flags: list[str], complaint: str
) -> None:
    ended = up(environment, *flags)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_taken_port_is_said_before_any_service_starts(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ended = up(environment, "--ports", f"bigquery={taken}")
    assert (ended.returncode, ended.stdout) == (1, "")
    cause = "Address already in use"
    assert ended.stderr == (
        f"dataflow-serving: error: port {taken} of bigquery cannot be used: {cause}\n"
    )


def test_each_port_of_a_service_can_be_named(environment: dict[str, str]) -> None:
    first, second = free_ports(2)
    flags = ["--only", "pubsub", "--ports", f"pubsub={first},pubsub_control={second}"]
    with subprocess.Popen(
        [*UP, *flags], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = {word for _ in range(2) for word in shlex.split(process.stdout.readline())}
        process.terminate()
    assert f"PUBSUB_EMULATOR_HOST=127.0.0.1:{first}" in printed
    assert f"PUBSUB_CONTROL_EMULATOR_HOST=http://127.0.0.1:{second}" in printed


def free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        sockets = [
            probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "x" * count
        ]
        return [probe.getsockname()[1] for probe in sockets]
