"""`dataflow-serving run`: one experiment, from its flags to its result."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
from rich.console import Console

from tf_dataflow_serving import flags
from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.run_arguments import RunArguments, complete
from tf_dataflow_serving.cli.service_arguments import add_service_arguments
from tf_dataflow_serving.cli.tensorflow_start import start_tensorflow
from tf_dataflow_serving.flags import Experiment, InferenceType, Services
from tf_dataflow_serving.services.endpoints import leave_emulators

if TYPE_CHECKING:
    from tf_dataflow_serving.runners.result import RunResult

RUNNING = "running"
FINISHED = "finished"


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        _run,
        "run one experiment",
        epilog="All other flags are Beam's own pipeline options and go to it as they are.",
    )
    parser.add_argument(
        "--experiment",
        dest="experiment_type",
        choices=[str(value) for value in Experiment],
        help="what to run: the same as --experiment_type",
    )
    add_service_arguments(
        parser,
        *Services,
        default="those that run already, else embedded; gcp with --runner DataflowRunner",
    )
    parser.add_argument(
        "--runner", default="DirectRunner", help="any Beam runner (default: %(default)s)"
    )
    parser.add_argument("--project", "--project_id", help="Google Cloud project")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    parser.add_argument("--bq-dataset", help="the original's name for --output_table's dataset")
    parser.add_argument("--bq-table", help="the original's name for --output_table's table")
    flags.add_arguments(parser)
    parser.set_defaults(takes_beam_flags=True)


def _run(arguments: argparse.Namespace) -> int:
    chosen = complete(arguments)
    report = _report_json if chosen.json else _report_text
    if chosen.values["inference_type"] == InferenceType.LOCAL:
        start_tensorflow()
    with _services(chosen) as placed, _progress(chosen):
        from tf_dataflow_serving.runners.launch import launch

        result = launch(placed.pipeline_options(), lambda: report(chosen, RUNNING, None))
    report(chosen, FINISHED, result)
    return 0


@contextmanager
def _services(chosen: RunArguments) -> Iterator[RunArguments]:
    """Yield the arguments with the places of the services filled in."""
    if chosen.services.services is Services.GCP:
        leave_emulators(os.environ)
        yield chosen
        return
    from tf_dataflow_serving.cli.session import activate, running_or_fresh

    with running_or_fresh(chosen.services) as endpoints:
        activate(endpoints)
        placed = chosen.on(project=endpoints.project, prediction_url=endpoints.prediction)
        from tf_dataflow_serving.runners.provision import provision

        provision(placed.pipeline_options())
        yield placed


@contextmanager
def _progress(chosen: RunArguments) -> Iterator[None]:
    console = Console(stderr=True)
    if chosen.json or not console.is_terminal:
        yield
        return
    with console.status(f"running {chosen.title} (Ctrl-C ends it, and loses nothing)"):
        yield


def _report_json(chosen: RunArguments, event: str, result: "RunResult | None") -> None:
    details = asdict(result) | {"rows": result.rows} if result else {"experiment": chosen.title}
    sys.stdout.write(orjson.dumps({"event": event, **details}).decode() + "\n")
    sys.stdout.flush()


def _report_text(chosen: RunArguments, event: str, result: "RunResult | None") -> None:
    if result is None:
        sys.stderr.write(f"{chosen.title}: {event}\n")
        return
    lines = [
        f"{chosen.title}: {result.rows:,} rows in {result.seconds:.1f} s "
        f"({result.rows / result.seconds:,.0f} rows/s): "
        f"{result.estimates:,} estimates, {result.dead_letters:,} dead letters",
        f"  vCPU time {result.cpu_seconds:.1f} s",
        *(f"  {line}" for line in _batch_sizes(result)),
        *(f"  {line}" for line in _failed_bundles(result)),
        *(f"  {line}" for line in _throttled(result)),
        *(f"  {line}" for line in chosen.destinations()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _failed_bundles(result: "RunResult") -> list[str]:
    if not result.failed_bundles:
        return []
    return [f"bundles that failed and were tried again: {result.failed_bundles:,}"]


def _throttled(result: "RunResult") -> list[str]:
    if not result.throttled_seconds:
        return []
    return [f"waited because the prediction service asked for it: {result.throttled_seconds:,} s"]


def _batch_sizes(result: "RunResult") -> list[str]:
    sizes = result.batch_sizes
    if sizes is None:
        return []
    return [
        f"prediction calls: {sizes.calls:,}, with {sizes.minimum:,} to {sizes.maximum:,} "
        f"instances, {sizes.mean:,.1f} on average"
    ]
