"""The parent's side of an embedded service: start it, learn its ports, end it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_dataflow_serving.errors import UserError

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
_LOG_TAIL_LINES = 15


class ServiceFailed(UserError):
    """An embedded service did not start, or died."""


@dataclass(frozen=True)
class ServiceProcess:
    """A running embedded service; `ports` are those it announced, by name."""

    name: str
    ports: Mapping[str, int]
    log: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        module: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
    ) -> "ServiceProcess":
        """Run `python -m module` and wait until it has announced its ports.

        Raises ServiceFailed, with the end of its log, if it dies or stays silent.
        """
        with log.open("wb") as log_file:
            process = subprocess.Popen(  # noqa: S603 - our own module, as a list
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env=dict(environment),
                # Ctrl-C in a terminal is for the parent, which then ends its services in order.
                start_new_session=True,
            )
        try:
            ports = _read_announcement(process)
        except BaseException:
            end(process)
            raise
        if ports is None:
            end(process)
            raise ServiceFailed(f"{name} did not start:\n{tail(log)}")
        return cls(name, ports, log, process)

    def raise_if_dead(self) -> None:
        """Raise ServiceFailed, with the end of its log, if the service has ended."""
        code = self.process.poll()
        if code is not None:
            raise ServiceFailed(f"{self.name} died with exit code {code}:\n{tail(self.log)}")

    def begin_stop(self) -> None:
        """Ask the service to end, so that several can do so at the same time."""
        self.process.terminate()

    def stop(self) -> None:
        """End the service; a service that does not end in time is killed."""
        end(self.process)


def tail(log: Path) -> str:
    """Return the last lines of a log, indented."""
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join(f"  {line}" for line in lines) or "  (its log is empty)"


def _read_announcement(process: subprocess.Popen[bytes]) -> Mapping[str, int] | None:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    deadline = threading.Timer(START_TIMEOUT_SECONDS, _stop, [process])
    deadline.start()
    try:
        line = process.stdout.readline()
    finally:
        deadline.cancel()
    if not line:
        return None
    ports: Mapping[str, int] = json.loads(line)
    return ports


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and close its pipes; one that does not end in time is killed."""
    try:
        _stop(process)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_SECONDS)


def is_alive(pid: int) -> bool:
    """Whether a process has this number, somebody else's too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
