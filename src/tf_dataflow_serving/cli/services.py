"""`dataflow-serving services up|env`: the embedded services for other programs."""

import argparse
import os
import shlex
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tf_dataflow_serving.cli.arguments import Commands, OneLineParser, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.services import state
from tf_dataflow_serving.services.containers.images import Images
from tf_dataflow_serving.services.endpoints import OPTIONAL, VARIABLES
from tf_dataflow_serving.services.listening import (
    LOOPBACK_ONLY,
    Listening,
    Port,
    add_listening_arguments,
    port_number,
)
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan
from tf_dataflow_serving.services.prediction.faults.text import plan_argument
from tf_dataflow_serving.services.standalone import Standalone, standalone, variables

if TYPE_CHECKING:
    from tf_dataflow_serving.services.stack import Stack

WATCH_SECONDS = 0.5
_MAIN_PORTS = {Standalone.PUBSUB: Port.PUBSUB, Standalone.STORAGE: Port.STORAGE}


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = commands.add_parser(
        "services",
        help="start the local services, or print the environment that leads to them",
        description="The local services: Pub/Sub, BigQuery, Cloud Storage, prediction.",
    )
    subcommands = parser.add_subparsers(
        metavar="SUBCOMMAND", required=True, dest="subcommand", parser_class=OneLineParser
    )
    up = add_command(
        subcommands,
        "up",
        _up,
        "run the services in the foreground until Ctrl-C",
        epilog="A drop-in for Google's Pub/Sub emulator: "
        "dataflow-serving services up --only pubsub --port 8085",
    )
    _add_standalone_arguments(up)
    up.add_argument(
        "--prediction_faults",
        type=plan_argument,
        metavar="PLAN",
        help="what goes wrong with online predictions, as the command `faults` takes it",
    )
    add_listening_arguments(up)
    add_service_arguments(up, Services.EMBEDDED, Services.CONTAINERS, default="embedded")
    add_command(
        subcommands,
        "env",
        _env,
        "print shell exports that point Google's clients and unmodified Beam pipelines at the "
        'running services; use it as: eval "$(dataflow-serving services env)"',
    )


def _add_standalone_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        choices=[str(service) for service in Standalone],
        help="run this service by itself, beside others that may be up: "
        "`services env` and other commands do not know of it",
    )
    parser.add_argument(
        "--port", type=port_number, help="where the --only service listens (default: a free port)"
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        metavar="DIR",
        help="where the embedded services keep what they hold, to have it again at their next "
        "start (default: nothing is kept)",
    )


def _up(arguments: argparse.Namespace) -> int:
    choice = ServiceChoice.from_arguments(arguments)
    listening = Listening(arguments.host, arguments.ports)
    if choice.services is Services.CONTAINERS:
        _refuse_embedded_flags(arguments, listening)
        return _up_in_containers(choice.images, arguments.prediction_faults)
    if arguments.only is not None:
        return _up_alone(arguments, listening)
    _refuse_port(arguments)
    return _up_all(arguments.data_dir, listening, arguments.prediction_faults)


def _refuse_embedded_flags(arguments: argparse.Namespace, listening: Listening) -> None:
    if arguments.only is not None or arguments.data_dir is not None:
        raise UsageError("--only and --data_dir are for the embedded services")
    _refuse_port(arguments)
    if listening != LOOPBACK_ONLY:
        raise UsageError("--host and --ports are for the embedded services")


def _refuse_port(arguments: argparse.Namespace) -> None:
    if arguments.port is not None:
        raise UsageError("--port is for one service: it needs --only")


def _up_all(data_dir: Path | None, listening: Listening, faults: FaultPlan | None) -> int:
    from tf_dataflow_serving.cli.session import fresh_stack

    state.refuse_second()
    with fresh_stack(data_dir=data_dir, listening=listening) as stack:
        _inject(faults, stack)
        _stay_up(stack, Services.EMBEDDED)
    return 0


def _up_in_containers(images: Images, faults: FaultPlan | None) -> int:
    from tf_dataflow_serving.cli.session import fresh_containers

    state.refuse_second()
    with fresh_containers(images) as stack:
        _inject(faults, stack)
        _stay_up(stack, Services.CONTAINERS)
    return 0


def _inject(faults: FaultPlan | None, stack: "Stack") -> None:
    from tf_dataflow_serving.services.prediction.control.client import PredictionControl

    url = stack.endpoints.prediction
    if faults is not None and url is not None:
        with PredictionControl(url) as control:
            control.inject(faults)


def _stay_up(stack: "Stack", kind: Services) -> None:
    with state.recorded(state.Recorded(kind, stack.endpoints)):
        _announce(
            stack.endpoints.environment(),
            'In another shell: eval "$(dataflow-serving services env)"; Ctrl-C here ends them.',
        )
        _watch(stack)


def _up_alone(arguments: argparse.Namespace, listening: Listening) -> int:
    if arguments.prediction_faults is not None:
        raise UsageError("--prediction_faults is for the prediction service, not for --only")
    chosen = Standalone(arguments.only)
    if arguments.port is not None:
        listening = listening.at(_MAIN_PORTS[chosen], arguments.port)
    with standalone(chosen, listening.of(chosen), arguments.data_dir) as service:
        _announce(variables(service), "Clients that have these variables use it; Ctrl-C ends it.")
        _watch(service)
    return 0


def _announce(places: Mapping[str, str], advice: str) -> None:
    sys.stdout.write(f"{_exports(places)}# Ready. {advice}\n")
    sys.stdout.flush()


class Running(Protocol):
    """What runs until it ends by mistake."""

    def raise_if_dead(self) -> None:
        """Raise ServiceFailed if it did."""


def _watch(running: Running) -> None:
    """Return on Ctrl-C; raise if a service dies."""
    tick = threading.Event()
    try:
        while not tick.wait(WATCH_SECONDS):
            running.raise_if_dead()
    except KeyboardInterrupt:
        sys.stderr.write("stopping the services\n")


def _env(_arguments: argparse.Namespace) -> int:
    places = state.running().endpoints.environment(os.environ)
    # What another set of services left in the shell must not lead there.
    missing = [VARIABLES[field] for field in OPTIONAL if VARIABLES[field] not in places]
    sys.stdout.write(_exports(places) + "".join(f"unset {name}\n" for name in missing))
    return 0


def _exports(places: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in places.items())
