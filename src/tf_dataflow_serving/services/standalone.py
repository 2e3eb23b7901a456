"""One service by itself: a drop-in for the emulator that it stands for."""

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.child import LOOPBACK
from tf_dataflow_serving.services.endpoints import VARIABLES, address, url
from tf_dataflow_serving.services.process import ServiceProcess


class Standalone(StrEnum):
    """The services that need no other one."""

    PUBSUB = "pubsub"
    STORAGE = "storage"


class PortRefused(UserError):
    """A service cannot listen on the port that was asked for."""


@contextmanager
def standalone(
    service: Standalone, port: int = 0, data_dir: Path | None = None
) -> Iterator[ServiceProcess]:
    """Run a service for as long as this lasts, on a free port if `port` is 0.

    What it holds is kept in `data_dir`, without one nowhere. Raises PortRefused, or
    ServiceFailed with the end of its log if it does not start for another reason.
    """
    _try_port(port)
    kept = () if data_dir is None else ("--data_dir", str(data_dir))
    with tempfile.TemporaryDirectory(prefix="tf-dataflow-serving-") as directory:
        process = ServiceProcess.start(
            service,
            f"tf_dataflow_serving.services.{service}",
            ["--port", str(port), *kept],
            Path(directory) / f"{service}.log",
            # What a killed service leaves behind goes with the directory.
            {**os.environ, "HOME": directory, "TMPDIR": directory},
        )
        try:
            yield process
        finally:
            process.stop()


def variables(process: ServiceProcess) -> Mapping[str, str]:
    """Return the environment variables that lead clients to a service run by `standalone`."""
    return {VARIABLES[name]: place for name, place in _places(process).items()}


def _places(process: ServiceProcess) -> Mapping[str, str]:
    if process.name == Standalone.PUBSUB:
        return {
            "pubsub": address(process.ports["grpc"]),
            "pubsub_control": url(process.ports["http"]),
        }
    return {"storage": url(process.ports["http"])}


def _try_port(port: int) -> None:
    """Raise PortRefused if nobody could listen there: the log of a service says it in 15 lines."""
    with socket.socket() as attempt:
        # As servers do: the remains of ended connections are no obstacle.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((LOOPBACK, port))
        except OSError as error:
            raise PortRefused(f"port {port} cannot be used: {error.strerror}") from error
