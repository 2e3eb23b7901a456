"""The processes of a benchmark: a pipeline, a publisher, and whose CPU time it takes."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tf_dataflow_serving.services.process import end, tail

from .publish_steadily import Load, Published

HERE = Path(__file__).parent
OURS = ("-m", "tf_dataflow_serving", "run", "--json", "--experiment=stream")
MICRO_BATCHES = ("-m", "tf_dataflow_serving", "run", "--json", "--experiment=stream-m-batches")
STOCK = (str(HERE / "stock_beam.py"), str(HERE / "stock_stream.py"))
PUBLISHER = (str(HERE / "publish_steadily.py"),)
ELSEWHERE = "elsewhere"
START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 60.0
PUBLISH_SLACK_SECONDS = 120.0


class ProcessEnded(Exception):
    """A process ended, or was killed as it said nothing, before what was awaited of it."""


@dataclass(frozen=True)
class EventProcess:
    """A process that tells of events in JSON lines; read them in their order."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def raise_if_ended(self) -> None:
        """Raise ProcessEnded, with the end of its log, if it does not run any more."""
        code = self.process.poll()
        if code is not None:
            raise ProcessEnded(f"exit code {code}:\n{tail(self.log)}")

    def event(self, name: str, timeout: float) -> dict[str, Any]:
        """Return its next event of a name; it is killed if that does not come in time."""
        assert self.process.stdout is not None
        deadline = threading.Timer(timeout, self.process.kill)
        deadline.start()
        try:
            events = map(json.loads, self.process.stdout)
            found = next((event for event in events if event["event"] == name), None)
        finally:
            deadline.cancel()
        if found is None:
            raise ProcessEnded(f"without {name!r}:\n{tail(self.log)}")
        return dict(found)

    def stop(self) -> dict[str, Any]:
        """End a pipeline by SIGTERM; returns its result."""
        self.process.terminate()
        finished = self.event("finished", STOP_TIMEOUT_SECONDS)
        # A second signal would end it at once, in the midst of closing.
        self.process.wait(STOP_TIMEOUT_SECONDS)
        return finished


@contextmanager
def running_pipeline(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[EventProcess]:
    """Yield a pipeline that reads its messages; it is ended on leaving, however that comes."""
    with _started(command, log, environment) as pipeline:
        pipeline.event("running", START_TIMEOUT_SECONDS)
        yield pipeline


@contextmanager
def publishing(load: Load, log: Path, environment: Mapping[str, str]) -> Iterator[EventProcess]:
    """Yield a process that begins to publish; it is ended if it is left before its end."""
    rate = load.messages_per_second
    flags = [f"--topic={load.topic}", f"--messages={load.messages}"]
    flags += [f"--messages_per_second={rate}"] if rate else []
    with _started([*PUBLISHER, *flags], log, environment) as publisher:
        publisher.event("publishing", START_TIMEOUT_SECONDS)
        yield publisher


def published(publisher: EventProcess, load: Load) -> Published:
    """Wait until a publisher is done."""
    event = publisher.event("published", load.due(load.messages) + PUBLISH_SLACK_SECONDS)
    return Published(**event["figures"])


@contextmanager
def _started(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[EventProcess]:
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=dict(environment),
        )
    try:
        yield EventProcess(process, log)
    finally:
        end(process)


class CpuMeter:
    """The CPU time, in seconds, that processes take from now on, by their names.

    `ELSEWHERE` is what the machine does besides: what it takes is missing here.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._now()

    def used(self) -> dict[str, float]:
        """Return what they took until now."""
        now = self._now()
        used = {name: now[name] - before for name, before in self._before.items()}
        machine = used.pop(ELSEWHERE)
        return {**used, ELSEWHERE: machine - sum(used.values())}

    def _now(self) -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in self._processes.items()}
        own = {name: taken.user + taken.system for name, taken in times.items()}
        machine = psutil.cpu_times()
        return {**own, ELSEWHERE: machine.user + machine.nice + machine.system}
