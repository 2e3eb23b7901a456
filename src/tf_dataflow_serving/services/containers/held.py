"""A container that lives as long as the process that holds it."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.child import LOOPBACK
from tf_dataflow_serving.services.containers.engine import owner_labels
from tf_dataflow_serving.services.endpoints import address, url
from tf_dataflow_serving.services.probe import ServiceDown, require_answer

GRPC = "grpc"
ANSWER_SECONDS = 45.0
_POLL_SECONDS = 0.1


class ContainerEnded(UserError):
    """A container ended, or was given up, before its service answered."""


@dataclass(frozen=True)
class Container:
    """An image, its command, and its ports by name; the one named `grpc` speaks HTTP/2."""

    image: str
    command: Sequence[str]
    ports: Mapping[str, int]
    environment: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def held(wanted: Container) -> AsyncIterator[dict[str, int]]:
    """Run a container, its ports published on loopback; yields those once the service answers.

    It is removed on leaving. If it ends by itself, this process gets SIGTERM.
    """
    # This process is the reaper: it ends with its parent, however that dies.
    testcontainers_config.ryuk_disabled = True
    container = _made(wanted)
    try:
        container.start()
        threading.Thread(target=_log, args=(container,), name="log", daemon=True).start()
        ports = {name: container.get_exposed_port(port) for name, port in wanted.ports.items()}
        async with asyncio.timeout(ANSWER_SECONDS):
            await _until_it_answers(container, ports)
        threading.Thread(target=_watch, args=(container,), name="watch", daemon=True).start()
        yield ports
    except TimeoutError as error:
        raise ContainerEnded(
            f"the service in {wanted.image} does not answer after {ANSWER_SECONDS:.0f} s"
        ) from error
    finally:
        container.stop()


def _made(wanted: Container) -> DockerContainer:
    container = DockerContainer(wanted.image).with_command(list(wanted.command))
    container.with_kwargs(labels=owner_labels())
    container.with_envs(**wanted.environment)
    for port in wanted.ports.values():
        container.ports[f"{port}/tcp"] = (LOOPBACK, None)  # type: ignore[assignment] # docker takes it
    return container


async def _until_it_answers(container: DockerContainer, ports: Mapping[str, int]) -> None:
    waiting = [address(port) if name == GRPC else url(port) for name, port in ports.items()]
    while waiting:
        container.reload()
        if container.status not in ("created", "running"):
            raise ContainerEnded(f"the container of {container.image} ended at once")
        try:
            await asyncio.to_thread(require_answer, container.image, waiting[0])
        except ServiceDown:
            # The engine accepts connections before the service does.
            await asyncio.sleep(_POLL_SECONDS)
        else:
            waiting.pop(0)


def _log(container: DockerContainer) -> None:
    for line in container.get_wrapped_container().logs(stream=True, follow=True):
        sys.stderr.write(line.decode(errors="replace"))
        sys.stderr.flush()


def _watch(container: DockerContainer) -> None:
    container.wait()
    os.kill(os.getpid(), signal.SIGTERM)
