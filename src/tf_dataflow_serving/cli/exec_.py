"""`dataflow-serving exec -- COMMAND...`: any command on the local services."""

import argparse
import os
import signal
import subprocess
from collections.abc import Sequence

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.errors import UsageError, UserError
from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.services.endpoints import leave_emulators

_SIGNALLED = 128


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "exec",
        _exec,
        "run any command, such as an unmodified Beam pipeline, on the local services",
        usage="dataflow-serving exec [--services ...] -- COMMAND [ARGUMENT ...]",
    )
    add_service_arguments(parser, *Services)
    parser.add_argument("--project", help="of --services external (default: the environment's)")
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def _exec(arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise UsageError("exec needs a command: dataflow-serving exec -- COMMAND [ARGUMENT ...]")
    choice = ServiceChoice.from_arguments(arguments)
    if choice.services is Services.GCP:
        environment = dict(os.environ)
        leave_emulators(environment)
        return _run(words, environment)
    from tf_dataflow_serving.cli.session import running_or_fresh

    with running_or_fresh(choice) as endpoints:
        return _run(words, endpoints.applied_to(os.environ))


def _run(words: Sequence[str], environment: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(words, env=environment)  # noqa: S603 - the user's own command
    except OSError as error:
        raise UserError(f"{words[0]} cannot be run: {error.strerror}") from error
    # Ctrl-C reaches the command from the terminal; this one waits for it to end.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminate = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, previous)
        signal.signal(signal.SIGTERM, terminate)
    return code if code >= 0 else _SIGNALLED - code
