"""The services as processes that can be killed, and come back with what they held."""

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tf_dataflow_serving.flags import DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.services.children import Children
from tf_dataflow_serving.services.endpoints import Endpoints, address, url
from tf_dataflow_serving.services.listening import Listening, Port
from tf_dataflow_serving.services.process import START_TIMEOUT_SECONDS, ServiceProcess
from tf_dataflow_serving.services.stack import DeployedModel

PROJECT = "local-project"
MODEL = DeployedModel(DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION, SHIPPED)
WAIT_SECONDS = 30.0
SERVICES = ("storage", "pubsub", "bigquery", "prediction")
# Below those that clients are given, which could take a dead service's port.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Fleet:
    """All services, each on ports and a directory that it finds again."""

    children: Children
    data: Path
    listening: Listening
    _running: dict[str, ServiceProcess] = field(default_factory=dict)

    @property
    def endpoints(self) -> Endpoints:
        """Where they are, also while one of them is dead."""
        port = self.listening.port
        return Endpoints(
            project=PROJECT,
            credentials=str(self.children.credentials),
            pubsub=address(port(Port.PUBSUB)),
            pubsub_control=url(port(Port.PUBSUB_CONTROL)),
            bigquery=url(port(Port.BIGQUERY)),
            bigquery_storage=address(port(Port.BIGQUERY_STORAGE)),
            storage=url(port(Port.STORAGE)),
            prediction=url(port(Port.PREDICTION)),
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process on these services, and on no other ones."""
        return self.endpoints.applied_to(os.environ)

    def bigquery(self) -> bigquery.Client:
        """Return a client, to be closed."""
        return bigquery.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.endpoints.bigquery},
        )

    def start(self, *names: str) -> None:
        """Start services that do not run, side by side."""
        starting = {name: self._start(name) for name in names}
        for name, started in starting.items():
            self._running[name] = started.result(START_TIMEOUT_SECONDS)

    def kill(self, name: str) -> None:
        """End a service as nothing but the system can."""
        process = self._running.pop(name).process
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_SECONDS)

    def _start(self, name: str) -> "Future[ServiceProcess]":
        storage = ("--storage_url", self.endpoints.storage)
        kept = ("--data_dir", str(self.data / name))
        flags: Mapping[str, Sequence[str]] = {
            "storage": kept,
            "pubsub": kept,
            "bigquery": (*kept, *storage, "--project", PROJECT),
            "prediction": (*storage, "--deploy", str(MODEL)),
        }
        return self.children.start(name, *self.listening.flags(name), *flags[name])


@contextmanager
def fleet_of(data: Path) -> Iterator[Fleet]:
    """Run the services; nothing of them is left."""
    with Children.in_fresh_directory(PROJECT) as children:
        fleet = Fleet(children, data, Listening(ports=_free_ports()))
        fleet.start(*SERVICES)
        yield fleet


def _free_ports() -> dict[Port, int]:
    start = int.from_bytes(os.urandom(2)) % len(_PORTS)
    candidates = [*_PORTS[start:], *_PORTS[:start]]
    free = (number for number in candidates if _is_free(number))
    return {name: next(free) for name in Port}


def _is_free(number: int) -> bool:
    with socket.socket() as attempt:
        try:
            attempt.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
