"""`dataflow-serving services up|env`: the embedded services for other programs."""

import argparse
import os
import shlex
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tf_dataflow_serving.cli.arguments import Commands, OneLineParser, add_command
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.services import state
from tf_dataflow_serving.services.standalone import Standalone, standalone, variables

WATCH_SECONDS = 0.5
MAX_PORT = 65_535


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
        "--port", type=_port, help="where the --only service listens (default: a free port)"
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        metavar="DIR",
        help="where the --only service keeps what it holds, to have it again at its next start "
        "(default: nothing is kept)",
    )


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 1 to {MAX_PORT}")
    return port


def _up(arguments: argparse.Namespace) -> int:
    if arguments.only is not None:
        return _up_alone(arguments)
    for flag in ("port", "data_dir"):
        if getattr(arguments, flag) is not None:
            raise UsageError(f"--{flag} is for one service: it needs --only")
    return _up_all()


def _up_all() -> int:
    from tf_dataflow_serving.cli.session import fresh_stack

    state.refuse_second()
    with fresh_stack() as stack, state.recorded(stack.endpoints):
        _announce(
            stack.endpoints.environment(),
            'In another shell: eval "$(dataflow-serving services env)"; Ctrl-C here ends them.',
        )
        _watch(stack)
    return 0


def _up_alone(arguments: argparse.Namespace) -> int:
    chosen = Standalone(arguments.only)
    with standalone(chosen, arguments.port or 0, arguments.data_dir) as service:
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
    sys.stdout.write(_exports(state.running().environment(os.environ)))
    return 0


def _exports(places: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in places.items())
