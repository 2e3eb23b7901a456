"""`services up` in one process, `services env` and unmodified programs in others."""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

TIMEOUT = 60.0
OURS = [sys.executable, "-m", "tf_dataflow_serving"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        "DATAFLOW_SERVING_STATE": str(tmp_path / "services.json"),
    }


class Up:
    """`services up`, until it says that it is ready."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [*OURS, "services", "up"],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.children: list[int] = []

    def wait_until_ready(self) -> str:
        assert self.process.stdout is not None
        printed = ""
        while "# Ready" not in printed:
            line = self.process.stdout.readline()
            assert line, "services up ended"
            printed += line
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        self.children = [int(pid) for path in threads for pid in path.read_text().split()]
        return printed

    def end(self, number: int) -> None:
        descriptors = [os.pidfd_open(pid) for pid in self.children]
        self.process.send_signal(number)
        self.process.wait(TIMEOUT)
        for descriptor in descriptors:
            ended, _, _ = select.select([descriptor], [], [], TIMEOUT)
            os.close(descriptor)
            assert ended, "a service outlived `services up`"


@pytest.fixture
def up(environment: Mapping[str, str]) -> Iterator[Up]:
    running = Up(environment)
    yield running
    running.process.kill()
    running.process.wait(TIMEOUT)
    running.process.communicate()


def run(words: list[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, env=dict(environment), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def test_a_second_process_finds_the_services(up: Up, environment: dict[str, str]) -> None:
    up.wait_until_ready()
    exports = run([*OURS, "services", "env"], environment)
    assert exports.returncode == 0, exports.stderr
    code = (
        "import json\n"
        "from google.cloud import bigquery, pubsub_v1, storage\n"
        "client = bigquery.Client()\n"
        "rows = next(iter(client.query_and_wait('SELECT COUNT(*) FROM samples.natality')))[0]\n"
        "topic = pubsub_v1.PublisherClient().create_topic(name='projects/p/topics/ttt').name\n"
        "bucket = storage.Client().create_bucket('made').name\n"
        "print(json.dumps([client.project, rows, topic, bucket]))\n"
    )
    shell = f"{exports.stdout}\n{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    seen = run(["sh", "-c", shell], environment)
    assert seen.returncode == 0, seen.stderr
    project, rows, topic, bucket = json.loads(seen.stdout)
    assert (project, topic, bucket) == ("local-project", "projects/p/topics/ttt", "made")
    assert rows >= 20_000

    again = run([*OURS, "services", "up"], environment)
    assert again.returncode == 1
    assert "running already" in again.stderr

    up.end(signal.SIGINT)
    assert up.process.returncode == 0
    assert run([*OURS, "services", "env"], environment).returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_service_outlives_it(up: Up, number: int) -> None:
    up.wait_until_ready()
    assert len(up.children) == 4
    up.end(number)


def test_a_dead_service_ends_it_with_its_log(up: Up) -> None:
    up.wait_until_ready()
    os.kill(up.children[0], signal.SIGKILL)
    assert up.process.wait(TIMEOUT) == 1
    assert up.process.stderr is not None
    assert "died with exit code -9" in up.process.stderr.read()
