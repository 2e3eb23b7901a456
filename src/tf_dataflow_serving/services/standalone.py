"""One service by itself: a drop-in for the emulator that it stands for."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from tf_dataflow_serving.services.endpoints import VARIABLES, address, url
from tf_dataflow_serving.services.listening import Listening
from tf_dataflow_serving.services.process import ServiceProcess


class Standalone(StrEnum):
    """The services that need no other one."""

    PUBSUB = "pubsub"
    STORAGE = "storage"


@contextmanager
def standalone(
    service: Standalone, listening: Listening, data_dir: Path | None = None
) -> Iterator[ServiceProcess]:
    """Run a service for as long as this lasts.

    What it holds is kept in `data_dir`, without one nowhere. Raises PortRefused, or
    ServiceFailed with the end of its log if it does not start for another reason.
    """
    listening.require_free()
    kept = () if data_dir is None else ("--data_dir", str(data_dir))
    with tempfile.TemporaryDirectory(prefix="tf-dataflow-serving-") as directory:
        process = ServiceProcess.start(
            service,
            f"tf_dataflow_serving.services.{service}",
            [*listening.flags(service), *kept],
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
