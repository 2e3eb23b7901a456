import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tf_dataflow_serving.services.process import ServiceFailed, ServiceProcess

ANSWERING = """
    from contextlib import asynccontextmanager
    from tf_dataflow_serving.services import child

    @asynccontextmanager
    async def serve():
        print("libraries may print")
        yield {"http": 4711}
        print("stopped in order")

    child.run(serve())
"""
DYING = """
    import sys
    sys.exit("the reason")
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.fixture
def answering(tmp_path: Path, environment: dict[str, str]) -> Iterator[ServiceProcess]:
    service = start(tmp_path, ANSWERING, environment)
    yield service
    service.stop()


def start(directory: Path, source: str, environment: dict[str, str]) -> ServiceProcess:
    (directory / "made_service.py").write_text(textwrap.dedent(source))
    return ServiceProcess.start("made", "made_service", [], directory / "made.log", environment)


def test_announced_ports_are_known(answering: ServiceProcess) -> None:
    assert answering.ports == {"http": 4711}
    answering.raise_if_dead()


def test_stop_lets_the_service_end_in_order(answering: ServiceProcess) -> None:
    answering.stop()
    assert answering.process.returncode == 0
    assert answering.log.read_text().splitlines() == ["libraries may print", "stopped in order"]


def test_a_service_that_dies_at_start_is_reported_with_its_log(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with pytest.raises(ServiceFailed, match=r"(?s)made did not start.*the reason"):
        start(tmp_path, DYING, environment)


def test_a_killed_service_is_noticed(answering: ServiceProcess) -> None:
    answering.process.kill()
    answering.process.wait(10)
    with pytest.raises(ServiceFailed, match="made died with exit code -9"):
        answering.raise_if_dead()


def test_a_service_ends_when_its_parent_is_killed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "made_service.py").write_text(textwrap.dedent(ANSWERING))
    code = (
        "import os, pathlib, threading\n"
        "from tf_dataflow_serving.services.process import ServiceProcess\n"
        f"s = ServiceProcess.start('made', 'made_service', [], "
        f"pathlib.Path({str(tmp_path / 'made.log')!r}), dict(os.environ))\n"
        "print(s.process.pid, flush=True)\n"
        "threading.Event().wait(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    with os.fdopen(descriptor):
        ended, _, _ = select.select([descriptor], [], [], 10)
    assert ended, "the service outlived its parent"
