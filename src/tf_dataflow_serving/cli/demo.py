"""`dataflow-serving demo`: everything, offline, with one command."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.cli.tensorflow_start import start_tensorflow
from tf_dataflow_serving.flags import Services, positive_float, positive_int

if TYPE_CHECKING:
    from tf_dataflow_serving.experiments.demo import Outcome, Sizes
    from tf_dataflow_serving.experiments.matrix import Combination

STREAM_SEED = 7


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "demo",
        _demo,
        "run all eleven experiments on local services, check every row, show the result tables",
    )
    parser.add_argument(
        "--rows",
        type=positive_int,
        default=20_000,
        help="natality rows in BigQuery, all of which the batches read (default: %(default)s)",
    )
    parser.add_argument(
        "--messages",
        type=positive_int,
        default=500,
        help="messages of each stream (default: %(default)s)",
    )
    parser.add_argument(
        "--messages_per_second",
        type=positive_float,
        default=100.0,
        help="rate of each stream (default: %(default)s)",
    )
    add_service_arguments(parser, Services.EMBEDDED, Services.CONTAINERS, default="embedded")


def _demo(arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    # First of all: the others import it too.
    start_tensorflow()
    from tf_dataflow_serving.cli.session import SAMPLE_SEED, activate, fresh
    from tf_dataflow_serving.experiments.demo import Demo, Sizes
    from tf_dataflow_serving.experiments.matrix import COMBINATIONS
    from tf_dataflow_serving.experiments.simulate import Load

    stream = Load(arguments.messages, arguments.messages_per_second, STREAM_SEED)
    sizes = Sizes(arguments.rows, SAMPLE_SEED, stream)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="demo-") as directory, _shown(console) as shown:
        shown.note("starting the services and loading generated natality rows")
        with fresh(ServiceChoice.from_arguments(arguments), arguments.rows) as stack:
            activate(stack.endpoints)
            demo = Demo(stack.endpoints.project, sizes, Path(directory), shown.progress)
            outcomes = [shown.finished(demo.run(combination)) for combination in COMBINATIONS]
    _print(outcomes, sizes)
    return verdict(outcomes, time.monotonic() - start)


class _Shown:
    """The bar on a terminal; a line for each experiment elsewhere."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total)
        self._done = 0

    def note(self, text: str) -> None:
        self._bar.update(self._task, description=text)

    def progress(self, combination: "Combination", part: float) -> None:
        self._bar.update(
            self._task, description=f"running {combination}", completed=self._done + part
        )

    def finished(self, outcome: "Outcome") -> "Outcome":
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        self._bar.console.print(
            f"{outcome.combination}: {outcome.result.rows:,} rows "
            f"in {outcome.result.seconds:.1f} s, "
            f"{'all right' if outcome.difference.is_none else outcome.difference}"
        )
        return outcome


@contextmanager
def _shown(console: Console) -> Iterator[_Shown]:
    from tf_dataflow_serving.experiments.matrix import COMBINATIONS

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        yield _Shown(bar, len(COMBINATIONS))


def _print(outcomes: "Sequence[Outcome]", sizes: "Sizes") -> None:
    from tf_dataflow_serving.experiments.tables import batch_table, latency_table, stream_table

    streams = [outcome for outcome in outcomes if outcome.combination.experiment.is_streaming]
    batches = [outcome for outcome in outcomes if outcome not in streams]
    console = Console()
    for table in (batch_table(batches), stream_table(streams), latency_table(streams)):
        console.print(table)
    console.print(
        f"The rows are generated (seed {sizes.sample_seed}), with the published margins "
        "of the natality data."
    )


def verdict(outcomes: "Sequence[Outcome]", seconds: float) -> int:
    """Say how it ended; returns the exit code, 1 if any row is not right."""
    failed = [outcome for outcome in outcomes if not outcome.difference.is_none]
    for outcome in failed:
        sys.stderr.write(f"{outcome.combination}: {outcome.difference}\n")
    if not failed:
        sys.stdout.write(f"{len(outcomes)} experiments, every row right, in {seconds:.0f} s\n")
    return 1 if failed else 0
