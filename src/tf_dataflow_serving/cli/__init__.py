"""The command `dataflow-serving`: one module for each of its commands."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import FrameType
from typing import NoReturn

from tf_dataflow_serving.cli import (
    batch_predict,
    demo,
    deploy,
    exec_,
    faults,
    run,
    services,
    simulate,
    stats,
    train,
)
from tf_dataflow_serving.cli.arguments import OneLineParser
from tf_dataflow_serving.errors import UserError

_COMMANDS = (
    demo,
    run,
    simulate,
    stats,
    services,
    exec_,
    deploy,
    batch_predict,
    faults,
    train,
)
_SIGNALLED = 128
_INTERRUPTED = _SIGNALLED + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 a mistake in the line itself."""
    signal.signal(signal.SIGTERM, _terminate)
    # A shell makes its background jobs ignore it; whoever sends it there means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def _run(arguments: Sequence[str]) -> int:
    _quiet_libraries()
    parser = _parser()
    chosen, beam_flags = parser.parse_known_args(arguments)
    if beam_flags and not chosen.takes_beam_flags:
        parser.error(f"unrecognized arguments: {' '.join(beam_flags)}")
    chosen.beam_flags = beam_flags
    try:
        code: int = chosen.handler(chosen)
    except UserError as error:
        sys.stderr.write(f"dataflow-serving: error: {error}\n")
        return error.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="dataflow-serving",
        description="Run Apache Beam pipelines that serve TensorFlow models, offline or on "
        "Google Cloud Dataflow. Start with: dataflow-serving demo",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('tf-dataflow-serving')}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for command in _COMMANDS:
        command.register(commands)
    return parser


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every clean-up that is pending."""
    raise SystemExit(_SIGNALLED + number)


def _quiet_libraries() -> None:
    """Keep the log to what a user can act on; TensorFlow's start-up chatter is not."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    level = os.environ.get("DATAFLOW_SERVING_LOG")
    logging.basicConfig(
        level=(level or "error").upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    if level is None:
        # A pipeline's failure ends in one line of ours; Beam's says the same with a traceback.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
