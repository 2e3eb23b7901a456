"""`services up --only`: one service as a drop-in for the emulator that it stands for."""

import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

TIMEOUT = 60.0
OURS = [sys.executable, "-m", "tf_dataflow_serving", "services"]
PUBSUB_MAKE = """
from google.cloud import pubsub_v1
pubsub_v1.PublisherClient().create_topic(name="projects/p/topics/top")
pubsub_v1.SubscriberClient().create_subscription(
    name="projects/p/subscriptions/sub", topic="projects/p/topics/top"
)
pubsub_v1.PublisherClient().publish("projects/p/topics/top", b"kept").result(30)
"""
PUBSUB_LOOK = """
import os
from google.cloud import pubsub_v1
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl
with PubSubControl(os.environ["PUBSUB_CONTROL_EMULATOR_HOST"]) as control:
    (subscription,) = control.subscriptions()
pulled = pubsub_v1.SubscriberClient().pull(subscription=subscription.name, max_messages=1)
print(pulled.received_messages[0].message.data.decode())
"""
STORAGE_MAKE = """
from google.cloud import storage
storage.Client(project="p").create_bucket("bucket").blob("name").upload_from_string("kept")
"""
STORAGE_LOOK = """
from google.cloud import storage
print(storage.Client(project="p").bucket("bucket").blob("name").download_as_text())
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No credentials, no project, nothing of other services."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if "GOOGLE" not in name}
    return {
        **{name: value for name, value in kept.items() if "EMULATOR" not in name},
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        "DATAFLOW_SERVING_STATE": str(tmp_path / "services.json"),
    }


class Up:
    """`services up --only`, from when it says that it is ready."""

    def __init__(self, flags: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [*OURS, "up", *flags],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        self.exports = ""
        while (line := self.process.stdout.readline()).startswith("export "):
            self.exports += line
        assert line.startswith("# Ready"), self.process.stderr.read()
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        (self.child,) = [int(pid) for path in threads for pid in path.read_text().split()]

    def service_ends_at(self, number: int) -> bool:
        """Send the command a signal; tell whether the service ended with it."""
        descriptor = os.pidfd_open(self.child)
        self.process.send_signal(number)
        self.process.wait(TIMEOUT)
        ended, _, _ = select.select([descriptor], [], [], TIMEOUT)
        os.close(descriptor)
        return bool(ended)


@pytest.fixture
def up(environment) -> Iterator[Callable[..., Up]]:
    with ExitStack() as cleanup:

        def start(*flags: str) -> Up:
            running = Up(flags, environment)
            cleanup.callback(running.process.communicate)
            cleanup.callback(running.process.kill)
            running.wait_until_ready()
            return running

        yield start


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(words, environment) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def client(running: Up, code: str, environment) -> str:
    """Run a program in a shell that has the exports; returns what it printed."""
    shell = f"{running.exports}\n{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    ended = run(["sh", "-c", shell], environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_pubsub_listens_where_it_was_told_to_and_leaves_no_trace(
    up, environment, free_port, tmp_path
):
    running = up("--only", "pubsub", "--port", str(free_port))
    assert f"export PUBSUB_EMULATOR_HOST=127.0.0.1:{free_port}\n" in running.exports
    client(running, PUBSUB_MAKE, environment)
    assert client(running, PUBSUB_LOOK, environment) == "kept"
    assert run([*OURS, "env"], environment).returncode == 1
    assert running.service_ends_at(signal.SIGINT)
    assert running.process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize(
    ("service", "make", "look"),
    [("pubsub", PUBSUB_MAKE, PUBSUB_LOOK), ("storage", STORAGE_MAKE, STORAGE_LOOK)],
)
def test_a_service_with_a_data_directory_has_at_its_next_start_what_it_held(
    up, environment, tmp_path, service, make, look
):
    flags = ("--only", service, "--data_dir", str(tmp_path / "data"))
    first = up(*flags)
    client(first, make, environment)
    assert first.service_ends_at(signal.SIGTERM)
    assert client(up(*flags), look, environment) == "kept"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_service_ends_with_the_command(up, number):
    assert up("--only", "pubsub").service_ends_at(number)


def test_a_dead_service_ends_the_command(up):
    running = up("--only", "storage")
    os.kill(running.child, signal.SIGKILL)
    assert running.process.wait(TIMEOUT) == 1
    assert "storage died with exit code -9" in running.process.stderr.read()


def test_two_of_them_run_side_by_side(up, environment):
    running = [up("--only", "pubsub") for _ in range(2)]
    for one in running:
        client(one, PUBSUB_MAKE, environment)
    assert [client(one, PUBSUB_LOOK, environment) for one in running] == ["kept", "kept"]


def test_a_taken_port_is_said_in_one_line(up, environment):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run([*OURS, "up", "--only", "pubsub", "--port", str(port)], environment)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"dataflow-serving: error: port {port} of pubsub cannot be used: Address already in use\n"
    )


@pytest.mark.parametrize("service", ["pubsub", "storage"])
def test_a_data_directory_that_cannot_be_is_said_in_one_line(environment, tmp_path, service):
    file = tmp_path / "file"
    file.write_text("not a directory")
    ended = run([*OURS, "up", "--only", service, "--data_dir", str(file)], environment)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"The data directory {file} cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--only", "pubsub", "--port", "0"], "0 is not a port"),
        (["--only", "pubsub", "--port", "65536"], "65536 is not a port"),
        (["--only", "pubsub", "--port", "http"], "http is not a port"),
        (["--only", "bigquery"], "invalid choice: 'bigquery'"),
        (["--port", "8085"], "--port is for one service: it needs --only"),
    ],
)
def test_a_mistake_in_the_flags_is_said_in_one_line(environment, flags, complaint):
    ended = run([*OURS, "up", *flags], environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_neither_tensorflow_nor_beam_is_imported(environment):
    environment["PYTHONPROFILEIMPORTTIME"] = "1"
    running = Up(("--only", "pubsub"), environment)
    with running.process:
        running.process.stdout.readline()
        running.process.terminate()
        lines = running.process.stderr.read().splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "tf_dataflow_serving.services.standalone" in imported
    assert not imported & {"tensorflow", "apache_beam", "google.cloud.pubsub_v1"}
