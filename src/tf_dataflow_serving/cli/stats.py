"""`dataflow-serving stats`: what a stream's table says of its latency."""

import argparse
import sys
from dataclasses import asdict

import orjson

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.flags import DEFAULT_OUTPUT_TABLE, Services


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "stats", _stats, "show the latency statistics of a stream")
    parser.add_argument(
        "--output_table",
        default=DEFAULT_OUTPUT_TABLE,
        help="table of the stream's estimates (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    add_service_arguments(parser, *Services)
    parser.add_argument("--project", help="Google Cloud project (default: that of the services)")


def _stats(arguments: argparse.Namespace) -> int:
    from tf_dataflow_serving.cli.session import activated

    with activated(ServiceChoice.from_arguments(arguments)) as project:
        from tf_dataflow_serving.experiments.statistics import stream_statistics

        found = asdict(stream_statistics(project, arguments.output_table))
    if arguments.json:
        sys.stdout.write(orjson.dumps(found).decode() + "\n")
        return 0
    for name, value in found.items():
        sys.stdout.write(f"{name.replace('_', ' '):>22}  {_text(value)}\n")
    return 0


def _text(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6f}"
