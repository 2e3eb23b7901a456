"""Starts the processes of a set of services side by side, and ends them whatever happens."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tf_dataflow_serving.services.credentials import local_credentials
from tf_dataflow_serving.services.endpoints import leave_emulators
from tf_dataflow_serving.services.process import ServiceProcess

_PACKAGE = "tf_dataflow_serving.services"


@dataclass(frozen=True)
class Children:
    """The processes that were started, in a directory and with credentials of their own."""

    directory: Path
    credentials: Path
    _starting: ThreadPoolExecutor
    _cleanup: ExitStack
    _running: list[ServiceProcess] = field(default_factory=list)

    @classmethod
    @contextmanager
    def in_fresh_directory(cls, project: str) -> Iterator["Children"]:
        """Make the directory; on leaving, end every process and remove it."""
        with ExitStack() as cleanup:
            directory = Path(tempfile.mkdtemp(prefix="tf-dataflow-serving-"))
            cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
            credentials = cleanup.enter_context(local_credentials(directory, project))
            starting = ThreadPoolExecutor(thread_name_prefix="start-service")
            cleanup.callback(starting.shutdown, wait=True)
            children = cls(directory, credentials, starting, cleanup)
            try:
                yield children
            finally:
                children._begin_stop()

    @property
    def processes(self) -> Sequence[ServiceProcess]:
        """Those that run."""
        return tuple(self._running)

    def start(self, name: str, *arguments: str) -> "Future[ServiceProcess]":
        """Start the service of this name; the future raises ServiceFailed if it does not start."""
        return self.start_module(name, f"{_PACKAGE}.{name}", "--port", "0", *arguments)

    def start_module(self, name: str, module: str, *arguments: str) -> "Future[ServiceProcess]":
        """Start `python -m module` as the service of this name."""
        return self._starting.submit(self._start, name, module, arguments)

    def _start(self, name: str, module: str, arguments: Sequence[str]) -> ServiceProcess:
        log = self.directory / f"{name}.log"
        process = ServiceProcess.start(name, module, arguments, log, self._environment())
        self._running.append(process)
        # As soon as it runs: what fails beside it must not leave it behind.
        self._cleanup.callback(process.stop)
        return process

    def _begin_stop(self) -> None:
        for process in self._running:
            process.begin_stop()

    def _environment(self) -> Mapping[str, str]:
        """Return the parent's environment without anything that would redirect a service."""
        kept = dict(os.environ)
        leave_emulators(kept)
        return {
            **kept,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
            "HOME": str(self.directory),
            # What a killed service leaves behind goes with the directory.
            "TMPDIR": str(self.directory),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_ENABLE_ONEDNN_OPTS": "0",
        }
