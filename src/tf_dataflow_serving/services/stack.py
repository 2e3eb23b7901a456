"""The embedded services as one context manager: started together, ended together."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tf_dataflow_serving.services.credentials import local_credentials
from tf_dataflow_serving.services.endpoints import Endpoints, address, leave_emulators, url
from tf_dataflow_serving.services.process import ServiceProcess

DEFAULT_PROJECT = "local-project"


@dataclass(frozen=True)
class DeployedModel:
    """A SavedModel that the prediction service serves from its start."""

    name: str
    version: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name}:{self.version}={self.path}"


@dataclass(frozen=True)
class Stack:
    """Running embedded services. Use it as `with Stack.start() as stack`."""

    endpoints: Endpoints
    directory: Path
    processes: Sequence[ServiceProcess] = field(repr=False)

    @classmethod
    @contextmanager
    def start(
        cls, project: str = DEFAULT_PROJECT, models: Sequence[DeployedModel] = ()
    ) -> Iterator["Stack"]:
        """Start every service on a free loopback port; end them, and their files, on leaving.

        Raises ServiceFailed, with the end of its log, if a service does not start.
        """
        with ExitStack() as cleanup:
            directory = Path(tempfile.mkdtemp(prefix="tf-dataflow-serving-"))
            cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
            credentials = cleanup.enter_context(local_credentials(directory, project))
            children = _Children(directory, credentials, cleanup)
            stack = cls._launch(children, project, models)
            try:
                yield stack
            finally:
                for process in stack.processes:
                    process.begin_stop()

    @classmethod
    def _launch(
        cls, children: "_Children", project: str, models: Sequence[DeployedModel]
    ) -> "Stack":
        # BigQuery and prediction read and write gs://, so storage comes first.
        storage = children.start("storage").result()
        storage_url = url(storage.ports["http"])
        on_storage = ["--storage_url", storage_url]
        deployments = [part for model in models for part in ("--deploy", str(model))]
        pubsub, bigquery, prediction = (
            started.result()
            for started in (
                children.start("pubsub"),
                children.start("bigquery", "--project", project, *on_storage),
                children.start("prediction", *on_storage, *deployments),
            )
        )
        endpoints = Endpoints(
            project=project,
            credentials=str(children.credentials),
            pubsub=address(pubsub.ports["grpc"]),
            pubsub_control=url(pubsub.ports["http"]),
            bigquery=url(bigquery.ports["http"]),
            bigquery_storage=address(bigquery.ports["grpc"]),
            storage=storage_url,
            prediction=url(prediction.ports["http"]),
        )
        return cls(endpoints, children.directory, (storage, pubsub, bigquery, prediction))

    def raise_if_dead(self) -> None:
        """Raise ServiceFailed, with the end of its log, if a service has died."""
        for process in self.processes:
            process.raise_if_dead()


class _Children:
    """Starts services in parallel and hands each to the clean-up as soon as it runs."""

    def __init__(self, directory: Path, credentials: Path, cleanup: ExitStack) -> None:
        self.directory = directory
        self.credentials = credentials
        self._cleanup = cleanup
        self._starting = ThreadPoolExecutor(thread_name_prefix="start-service")
        cleanup.callback(self._starting.shutdown, wait=True)

    def start(self, name: str, *arguments: str) -> "Future[ServiceProcess]":
        return self._starting.submit(self._start, name, arguments)

    def _start(self, name: str, arguments: Sequence[str]) -> ServiceProcess:
        process = ServiceProcess.start(
            name,
            f"tf_dataflow_serving.services.{name}",
            ["--port", "0", *arguments],
            self.directory / f"{name}.log",
            self._environment(),
        )
        self._cleanup.callback(process.stop)
        return process

    def _environment(self) -> Mapping[str, str]:
        """Return the parent's environment without anything that would redirect a service."""
        kept = dict(os.environ)
        leave_emulators(kept)
        return {
            **kept,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
            "HOME": str(self.directory),
            # What a killed service leaves behind goes with the stack's own directory.
            "TMPDIR": str(self.directory),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_ENABLE_ONEDNN_OPTS": "0",
        }
