"""`dataflow-serving run` in a process of its own, so that its CPU time is the experiment's."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.runners.result import BatchSizes, RunResult
from tf_dataflow_serving.services.process import STOP_TIMEOUT_SECONDS, end

RUN_TIMEOUT_SECONDS = 300.0


class RunFailed(UserError):
    """A run ended without its result."""


@dataclass(frozen=True)
class RunProcess:
    """A run that was started; read its events in their order."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_running(self) -> None:
        """Return once a stream reads its messages; raises RunFailed if it ends before."""
        self._event("running")

    def result(self) -> RunResult:
        """Return what the run did; raises RunFailed if it ends without a result."""
        event = self._event("finished")
        self.process.wait(STOP_TIMEOUT_SECONDS)
        return _result(event)

    def _event(self, name: str) -> Mapping[str, Any]:
        assert self.process.stdout is not None  # noqa: S101 - opened as a pipe below
        for line in self.process.stdout:
            event: Mapping[str, Any] = orjson.loads(line)
            if event["event"] == name:
                return event
        code = self.process.wait(STOP_TIMEOUT_SECONDS)
        raise RunFailed(f"the run ended with exit code {code}: {self.log.read_text().strip()}")


@contextmanager
def started(
    flags: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[RunProcess]:
    """Start `dataflow-serving run` with these flags; end it on leaving, however that comes."""
    with log.open("wb") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own module, as a list
            [sys.executable, "-m", "tf_dataflow_serving", "run", "--json", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=dict(environment),
        )
    deadline = threading.Timer(RUN_TIMEOUT_SECONDS, process.kill)
    deadline.start()
    try:
        yield RunProcess(process, log)
    finally:
        deadline.cancel()
        end(process)


def _result(event: Mapping[str, Any]) -> RunResult:
    sizes = event["batch_sizes"]
    return RunResult(
        experiment=event["experiment"],
        inference_type=event["inference_type"],
        seconds=event["seconds"],
        cpu_seconds=event["cpu_seconds"],
        estimates=event["estimates"],
        dead_letters=event["dead_letters"],
        batch_sizes=BatchSizes(**sizes) if sizes else None,
        failed_bundles=event["failed_bundles"],
        throttled_seconds=event["throttled_seconds"],
    )
