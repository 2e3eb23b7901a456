"""A pipeline in a process of its own, to be killed, signalled, and started again."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tf_dataflow_serving.services.process import end

LIFE_SECONDS = 300.0
WAIT_SECONDS = 60.0
RUN = (sys.executable, "-m", "tf_dataflow_serving", "run", "--json", "--services", "external")
EXEC = (sys.executable, "-m", "tf_dataflow_serving", "exec", "--services", "external", "--")


@dataclass(frozen=True)
class PipelineProcess:
    """A pipeline that was started; its log is what it wrote to standard error."""

    process: subprocess.Popen[bytes]
    log: Path

    def event(self, name: str) -> Mapping[str, Any]:
        """Return its next JSON event of this name; fails if it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: Mapping[str, Any] = json.loads(line)
            if event["event"] == name:
                return event
        code = self.process.wait(WAIT_SECONDS)
        raise AssertionError(f"no event {name!r}, exit code {code}:\n{self.log_text()}")

    def log_text(self) -> str:
        """Return its log, at most the last 20,000 characters."""
        return self.log.read_text(errors="replace")[-20_000:]

    def require_alive(self) -> None:
        """Fail, with its log, if it has ended."""
        code = self.process.poll()
        assert code is None, f"the pipeline ended with exit code {code}:\n{self.log_text()}"

    def family(self) -> list[psutil.Process]:
        """Return it and the processes below it."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def kill(self) -> None:
        """End it, and what is below it, as nothing but the system can."""
        for member in self.family():
            member.kill()
        self.process.wait(WAIT_SECONDS)

    def drain(self) -> int:
        """Ask it to end in order; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def started(
    words: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[PipelineProcess]:
    """Start a process; its log is added to. It is ended on leaving, with all that is below it."""
    with log.open("ab") as log_file:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=dict(environment),
        )
    running = PipelineProcess(process, log)
    deadline = threading.Timer(LIFE_SECONDS, process.kill)
    deadline.start()
    try:
        yield running
    finally:
        deadline.cancel()
        family = running.family() if process.poll() is None else []
        end(process)
        for member in family:
            _kill(member)


def _kill(member: psutil.Process) -> None:
    try:
        member.kill()
    except psutil.NoSuchProcess:
        return
