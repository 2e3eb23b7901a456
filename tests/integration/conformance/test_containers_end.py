"""The containers of `--services containers` are removed whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.services.containers.engine import OWNER_LABEL, Engine

from .conftest import Way

TIMEOUT = 90.0


@pytest.fixture
def engine(started: Callable[[Services], Way]) -> Iterator[docker.DockerClient]:
    """An engine with the images, or else the test is skipped for the same reason as others."""
    started(Services.CONTAINERS)
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def up(engine: docker.DockerClient, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """`services up --services containers`, ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tf_dataflow_serving", "services", "up", "--services", "containers"],
        env={**os.environ, "DATAFLOW_SERVING_STATE": str(tmp_path / "services.json")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "# Ready" not in (line := process.stdout.readline()):
        assert line, "services up ended"
    yield process
    process.kill()
    process.wait(TIMEOUT)
    process.stdout.close()


def holders(parent: int) -> set[str]:
    """The processes of ours that hold a container."""
    threads = Path(f"/proc/{parent}/task").glob("*/children")
    children = {pid for path in threads for pid in path.read_text().split()}
    return {pid for pid in children if "containers" in Path(f"/proc/{pid}/cmdline").read_text()}


def held_by(engine: docker.DockerClient, owners: set[str]) -> list[str]:
    found = engine.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return [container.name for container in found if container.labels[OWNER_LABEL] in owners]


def wait_until_none(engine: docker.DockerClient, owners: set[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while held_by(engine, owners):
        assert time.monotonic() < deadline, "containers are left"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_they_go_with_the_command(
    engine: docker.DockerClient, up: "subprocess.Popen[str]", number: int
) -> None:
    owners = holders(up.pid)
    assert len(held_by(engine, owners)) == 3
    up.send_signal(number)
    up.wait(TIMEOUT)
    wait_until_none(engine, owners)


def test_what_a_killed_holder_left_goes_with_the_next_start(
    engine: docker.DockerClient, up: "subprocess.Popen[str]"
) -> None:
    owners = holders(up.pid)
    for pid in owners:
        os.kill(int(pid), signal.SIGKILL)
    up.wait(TIMEOUT)
    assert len(held_by(engine, owners)) == 3
    Engine().remove_orphans()
    assert held_by(engine, owners) == []


def test_a_container_that_ends_is_told_with_its_log(
    engine: docker.DockerClient, up: "subprocess.Popen[str]"
) -> None:
    owners = holders(up.pid)
    engine.containers.get(held_by(engine, owners)[0]).kill()
    assert up.wait(TIMEOUT) == 1
    wait_until_none(engine, owners)
