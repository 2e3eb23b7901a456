"""Where the services listen: on loopback, but for those in a container that publishes ports."""

import argparse
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.child import LOOPBACK

MAX_PORT = 65_535
# Set by our image: a machine that happens to be a container may well be on a network.
CONTAINER_VARIABLE = "DATAFLOW_SERVING_CONTAINER"


class Host(StrEnum):
    """The addresses that services listen on; they reach one another over loopback in any case."""

    LOOPBACK = LOOPBACK
    EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - refused outside a container


class Port(StrEnum):
    """The ports of all services, named as the fields of Endpoints are."""

    PUBSUB = "pubsub"
    PUBSUB_CONTROL = "pubsub_control"
    BIGQUERY = "bigquery"
    BIGQUERY_STORAGE = "bigquery_storage"
    STORAGE = "storage"
    PREDICTION = "prediction"


# Those of Google's Pub/Sub emulator, bigquery-emulator, fake-gcs-server and TensorFlow Serving.
FIXED_PORTS: Mapping[Port, int] = {
    Port.PUBSUB: 8085,
    Port.PUBSUB_CONTROL: 8086,
    Port.BIGQUERY: 9050,
    Port.BIGQUERY_STORAGE: 9060,
    Port.STORAGE: 4443,
    Port.PREDICTION: 8500,
}
_FLAGS: Mapping[str, Mapping[str, Port]] = {
    "pubsub": {"--port": Port.PUBSUB, "--control_port": Port.PUBSUB_CONTROL},
    "bigquery": {"--port": Port.BIGQUERY, "--grpc_port": Port.BIGQUERY_STORAGE},
    "storage": {"--port": Port.STORAGE},
    "prediction": {"--port": Port.PREDICTION},
}


class PortRefused(UserError):
    """A service cannot listen on the port that was asked for."""


@dataclass(frozen=True)
class Listening:
    """Where services listen. A port that is not named is any free one."""

    host: Host = Host.LOOPBACK
    ports: Mapping[Port, int] = field(default_factory=dict)

    def port(self, name: Port) -> int:
        """Return a port's number, 0 for any free one."""
        return self.ports.get(name, 0)

    def at(self, name: Port, number: int) -> "Listening":
        """Return the same, but for the number of one port."""
        return replace(self, ports={**self.ports, name: number})

    def of(self, service: str) -> "Listening":
        """Return what of it concerns one service."""
        own = _FLAGS[service].values()
        return replace(self, ports={name: port for name, port in self.ports.items() if name in own})

    def flags(self, service: str) -> list[str]:
        """Return the part of a service's command line that says so."""
        ports = [f"{flag}={self.port(port)}" for flag, port in _FLAGS[service].items()]
        return [f"--host={self.host}", *ports]

    def require_free(self) -> None:
        """Raise PortRefused if nobody could listen there: a service's log says it in 15 lines."""
        for name, port in self.ports.items():
            with socket.socket() as attempt:
                # As servers do: the remains of ended connections are no obstacle.
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    attempt.bind((self.host, port))
                except OSError as error:
                    raise PortRefused(
                        f"port {port} of {name} cannot be used: {error.strerror}"
                    ) from error


LOOPBACK_ONLY = Listening()


def in_container(environment: Mapping[str, str]) -> bool:
    """Whether this process runs in an image that is made to publish its ports."""
    return bool(environment.get(CONTAINER_VARIABLE))


def add_host_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--host`, which refuses to open this machine to its network."""
    parser.add_argument(
        "--host",
        type=_host,
        default=Host.LOOPBACK,
        metavar="ADDRESS",
        help="where to listen: 127.0.0.1, or in a container 0.0.0.0, so that its ports can be "
        "published (default: %(default)s)",
    )


def add_listening_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--host` and `--ports`."""
    add_host_argument(parser)
    customary = ", ".join(f"{name} {port}" for name, port in FIXED_PORTS.items())
    parser.add_argument(
        "--ports",
        type=named_ports,
        default={},
        metavar="PORTS",
        help="free: any free ones, the default; fixed: those that the emulators are known for "
        f"({customary}); NAME=PORT: that one. Several are joined by commas: fixed,storage=4444",
    )


def _host(text: str) -> Host:
    return named_host(text, contained=in_container(os.environ))


def named_host(text: str, *, contained: bool) -> Host:
    """Return the address that a command line names; raises ArgumentTypeError."""
    try:
        host = Host(text)
    except ValueError as error:
        allowed = " nor ".join(Host)
        raise argparse.ArgumentTypeError(f"{text!r} is neither {allowed}") from error
    if host is Host.EVERY_INTERFACE and not contained:
        raise argparse.ArgumentTypeError(
            f"{host} would open the services to the network; it is accepted only in a container"
        )
    return host


def named_ports(text: str) -> Mapping[Port, int]:
    """Return the ports that `--ports` names: free, fixed, NAME=PORT, or several, with commas.

    Raises ArgumentTypeError.
    """
    words = text.split(",")
    customary = FIXED_PORTS if "fixed" in words else {}
    chosen = dict(_named_port(word) for word in words if word not in ("fixed", "free"))
    ports = {**customary, **chosen}
    _refuse_shared(ports)
    return ports


def _named_port(word: str) -> tuple[Port, int]:
    name, separator, number = word.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=PORT, free, or fixed")
    if name not in list(Port):
        raise argparse.ArgumentTypeError(f"there is no port {name!r}; there are {', '.join(Port)}")
    return Port(name), port_number(number)


def port_number(text: str) -> int:
    """Return the port that a command line names; raises ArgumentTypeError."""
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 1 to {MAX_PORT}")
    return port


def _refuse_shared(ports: Mapping[Port, int]) -> None:
    users: dict[int, Port] = {}
    for name in Port:
        if name in ports and users.setdefault(ports[name], name) is not name:
            raise argparse.ArgumentTypeError(
                f"{ports[name]} is the port of both {users[ports[name]]} and {name}"
            )
