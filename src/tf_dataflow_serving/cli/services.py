"""`dataflow-serving services up|env`: the embedded services for other programs."""

import argparse
import os
import shlex
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tf_dataflow_serving.cli.arguments import Commands, OneLineParser, add_command
from tf_dataflow_serving.services import state
from tf_dataflow_serving.services.endpoints import Endpoints

if TYPE_CHECKING:
    from tf_dataflow_serving.services.stack import Stack

WATCH_SECONDS = 0.5


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
    add_command(subcommands, "up", _up, "run the services in the foreground until Ctrl-C")
    add_command(
        subcommands,
        "env",
        _env,
        "print shell exports that point Google's clients and unmodified Beam pipelines at the "
        'running services; use it as: eval "$(dataflow-serving services env)"',
    )


def _up(_arguments: argparse.Namespace) -> int:
    from tf_dataflow_serving.cli.session import fresh_stack

    state.refuse_second()
    with fresh_stack() as stack, state.recorded(stack.endpoints):
        sys.stdout.write(_exports(stack.endpoints, {}))
        sys.stdout.write(
            '# Ready. In another shell: eval "$(dataflow-serving services env)"; '
            "Ctrl-C here ends them.\n"
        )
        sys.stdout.flush()
        _watch(stack)
    return 0


def _watch(stack: "Stack") -> None:
    """Return on Ctrl-C; raise if a service dies."""
    tick = threading.Event()
    try:
        while not tick.wait(WATCH_SECONDS):
            stack.raise_if_dead()
    except KeyboardInterrupt:
        sys.stderr.write("stopping the services\n")


def _env(_arguments: argparse.Namespace) -> int:
    sys.stdout.write(_exports(state.running(), os.environ))
    return 0


def _exports(endpoints: Endpoints, base: Mapping[str, str]) -> str:
    variables = endpoints.environment(base)
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
