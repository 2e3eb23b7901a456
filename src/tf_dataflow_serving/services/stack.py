"""A complete set of services as one context manager: started together, ended together."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tf_dataflow_serving.services.children import Children
from tf_dataflow_serving.services.endpoints import Endpoints, address, url
from tf_dataflow_serving.services.listening import LOOPBACK_ONLY, Listening
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
    """Running services. Use it as `with Stack.start() as stack`."""

    endpoints: Endpoints
    directory: Path
    processes: Sequence[ServiceProcess] = field(repr=False)

    @classmethod
    @contextmanager
    def start(
        cls,
        project: str = DEFAULT_PROJECT,
        models: Sequence[DeployedModel] = (),
        data_dir: Path | None = None,
        listening: Listening = LOOPBACK_ONLY,
    ) -> Iterator["Stack"]:
        """Start every embedded service; end them on leaving.

        What they hold is kept in `data_dir`, without one nowhere. Raises PortRefused, or
        ServiceFailed, with the end of its log, if a service does not start for another reason.
        """
        listening.require_free()
        with Children.in_fresh_directory(project) as children:
            endpoints = _start_embedded(children, project, models, data_dir, listening)
            yield cls(endpoints, children.directory, children.processes)

    def raise_if_dead(self) -> None:
        """Raise ServiceFailed, with the end of its log, if a service has died."""
        for process in self.processes:
            process.raise_if_dead()


def _start_embedded(
    children: Children,
    project: str,
    models: Sequence[DeployedModel],
    data_dir: Path | None,
    listening: Listening,
) -> Endpoints:
    # BigQuery and prediction read and write gs://, so storage comes first.
    storage = children.start("storage", *_own("storage", listening, data_dir)).result()
    storage_url = url(storage.ports["http"])
    pubsub, bigquery, prediction = (
        started.result()
        for started in (
            children.start("pubsub", *_own("pubsub", listening, data_dir)),
            children.start(
                "bigquery",
                *("--project", project, "--storage_url", storage_url),
                *_own("bigquery", listening, data_dir),
            ),
            start_prediction(children, storage_url, models, listening, data_dir),
        )
    )
    return Endpoints(
        project=project,
        credentials=str(children.credentials),
        pubsub=address(pubsub.ports["grpc"]),
        pubsub_control=url(pubsub.ports["http"]),
        bigquery=url(bigquery.ports["http"]),
        bigquery_storage=address(bigquery.ports["grpc"]),
        storage=storage_url,
        prediction=url(prediction.ports["http"]),
    )


def _own(service: str, listening: Listening, data_dir: Path | None) -> list[str]:
    kept = [] if data_dir is None else ["--data_dir", str(data_dir / service)]
    return [*listening.flags(service), *kept]


def start_prediction(
    children: Children,
    storage_url: str,
    models: Sequence[DeployedModel],
    listening: Listening = LOOPBACK_ONLY,
    data_dir: Path | None = None,
) -> "Future[ServiceProcess]":
    """Start the prediction service, which nobody else has, beside any storage."""
    deployments = [part for model in models for part in ("--deploy", str(model))]
    return children.start(
        "prediction",
        *("--storage_url", storage_url),
        *_own("prediction", listening, data_dir),
        *deployments,
    )
