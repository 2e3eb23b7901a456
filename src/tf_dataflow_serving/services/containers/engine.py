"""The Docker engine, as far as containers of services need it."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.process import is_alive

# On every container of ours: the process that removes it, and where that number means anything.
OWNER_LABEL = "tf-dataflow-serving.owner"
PLACE_LABEL = "tf-dataflow-serving.place"
_PULL_TIMEOUT_SECONDS = 600


class DockerMissing(UserError):
    """Containers are asked for where there is no Docker."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"--services containers needs Docker: {why}; --services embedded needs none"
        )


class Engine:
    """A connection to the engine that DOCKER_HOST, or the usual socket, names."""

    def __init__(self) -> None:
        """Connect; raises DockerMissing."""
        try:
            # Part of the `containers` extra.
            import docker  # noqa: PLC0415
            import testcontainers  # noqa: F401, PLC0415
        except ImportError as error:
            raise DockerMissing(
                f"{error.name} is not installed (pip install tf-dataflow-serving[containers])"
            ) from error
        if not _is_here(os.environ.get("DOCKER_HOST", "")):
            raise DockerMissing("$DOCKER_HOST leads to another machine, where ports are published")
        try:
            self._client = docker.from_env(timeout=_PULL_TIMEOUT_SECONDS)
            self._client.ping()
        except docker.errors.DockerException as error:
            raise DockerMissing("no Docker engine answers") from error

    def has_image(self, name: str) -> bool:
        """Whether an image is on this machine."""
        return bool(self._client.images.list(name=name))

    def pull(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Fetch an image; yields the engine's events, an `error` among them if it fails."""
        import docker.errors  # noqa: PLC0415
        from docker.utils import parse_repository_tag  # noqa: PLC0415

        repository, tag = parse_repository_tag(name)
        try:
            yield from self._client.api.pull(
                repository, tag=tag or "latest", stream=True, decode=True
            )
        except docker.errors.APIError as error:
            yield {"error": error.explanation or str(error)}

    def remove_orphans(self) -> None:
        """Remove the containers whose owner was killed before it could do so."""
        import docker.errors  # noqa: PLC0415

        here = {"label": f"{PLACE_LABEL}={_place()}"}
        for container in self._client.containers.list(all=True, filters=here, ignore_removed=True):
            owner = container.labels.get(OWNER_LABEL, "")
            if owner.isdecimal() and not is_alive(int(owner)):
                # Somebody else may be at it, too.
                with suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)

    def close(self) -> None:
        """End the connection."""
        self._client.close()


def owner_labels() -> dict[str, str]:
    """The labels of a container that this process removes."""
    return {OWNER_LABEL: str(os.getpid()), PLACE_LABEL: _place()}


def _place() -> str:
    """The machine, since its start, and the namespace in which it numbers processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()


def _is_here(docker_host: str) -> bool:
    """Whether an engine is reached by a socket or pipe, or over loopback."""
    parts = urlsplit(docker_host)
    by_socket = parts.scheme in ("", "unix", "npipe", "fd")
    return by_socket or parts.hostname in ("127.0.0.1", "localhost", "::1")
