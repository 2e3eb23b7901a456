"""`--services` from a command line: who is asked, who is not, and what a mistake says."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TIMEOUT = 60.0
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "EMULATOR" not in name}
    return {**kept, "DATAFLOW_SERVING_STATE": str(tmp_path / "services.json")}


def ours(words: list[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tf_dataflow_serving", *words],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def error_of(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 1
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    return lines[-1]


@pytest.mark.parametrize(
    "command",
    [
        ["exec", "--services", "containers", "--", "true"],
        ["services", "up", "--services", "containers"],
    ],
    ids=["exec", "up"],
)
def test_without_docker_one_line_names_the_embedded_way(
    command: list[str], environment: dict[str, str]
) -> None:
    ended = ours(command, {**environment, "DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert error_of(ended) == (
        "dataflow-serving: error: --services containers needs Docker: no Docker engine answers; "
        "--services embedded needs none"
    )
    assert "Traceback" not in ended.stderr


def test_external_services_that_nobody_named(environment: dict[str, str]) -> None:
    ended = ours(["exec", "--services", "external", "--", "true"], environment)
    assert error_of(ended) == (
        "dataflow-serving: error: not set in the environment: PUBSUB_EMULATOR_HOST, "
        "BIGQUERY_EMULATOR_HOST, BIGQUERY_STORAGE_EMULATOR_HOST, STORAGE_EMULATOR_HOST"
    )


def test_external_services_are_asked_before_anything_starts(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
    flags = [
        f"--{name}_emulator_host={place}"
        for name in ("pubsub", "bigquery", "bigquery_storage", "storage")
    ]
    started = tmp_path / "started"
    command = ["exec", "--services", "external", *flags, "--", "touch", str(started)]
    error = error_of(ours(command, environment))
    assert error.endswith(f"PUBSUB_EMULATOR_HOST: nothing answers at {place}: Connection refused")
    assert not started.exists()


def test_nothing_of_ours_is_between_a_program_and_google_cloud(
    environment: dict[str, str],
) -> None:
    led = {
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:2",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/credentials.json",
    }
    command = ["exec", "--services", "gcp", "--", sys.executable, "-c", SHOW]
    ended = ours(command, {**environment, **led})
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert [name for name in seen if name.endswith("EMULATOR_HOST")] == []
    assert "redirect_site" not in seen.get("PYTHONPATH", "")
    assert seen["GOOGLE_APPLICATION_CREDENTIALS"] == "/home/me/credentials.json"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["services", "up", "--services", "gcp"], "invalid choice: 'gcp'"),
        (["services", "up", "--services", "containers", "--data_dir", "d"], "embedded services"),
        (["services", "up", "--services", "containers", "--only", "pubsub"], "embedded services"),
        (["stats", "--services", "gcp"], "--services gcp needs --project"),
    ],
)
def test_what_makes_no_sense_is_said(
    words: list[str], reason: str, environment: dict[str, str]
) -> None:
    ended = ours(words, environment)
    assert ended.returncode == 2
    assert reason in ended.stderr.splitlines()[-1]
