"""`dataflow-serving train`: the model, from generated rows to a SavedModel and its card."""

import argparse
import sys
from pathlib import Path

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.tensorflow_start import start_tensorflow
from tf_dataflow_serving.flags import positive_int, seed
from tf_dataflow_serving.model import DEFAULT_EPOCHS, DEFAULT_ROWS, DEFAULT_SEED


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "train",
        _train,
        "train the model on generated rows, export it as a SavedModel, and write its card; "
        "the defaults reproduce the model that is shipped",
    )
    parser.add_argument("--output", required=True, type=Path, help="directory to be made")
    parser.add_argument(
        "--rows", type=positive_int, default=DEFAULT_ROWS, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=positive_int, default=DEFAULT_EPOCHS, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=seed, default=DEFAULT_SEED, help="of rows and weights (default: %(default)s)"
    )


def _train(arguments: argparse.Namespace) -> int:
    start_tensorflow()
    from tf_dataflow_serving.model.training import train

    evaluation = train(
        arguments.output,
        rows=arguments.rows,
        epochs=arguments.epochs,
        seed=arguments.seed,
        progress=_report,
    )
    sys.stdout.write(f"{arguments.output}: {evaluation}\n")
    return 0


def _report(line: str) -> None:
    sys.stderr.write(line + "\n")
