"""`dataflow-serving simulate`: a steady stream of messages."""

import argparse
import sys

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.flags import Services, positive_float, positive_int, seed
from tf_dataflow_serving.resource_names import topic_path


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "simulate", _simulate, "publish generated messages at a steady rate"
    )
    parser.add_argument(
        "--input_topic",
        "--pubsub-topic",
        required=True,
        help="topic to publish to, made if it is not there: a name or projects/P/topics/T",
    )
    parser.add_argument("--messages", type=positive_int, default=5_000, help="how many")
    parser.add_argument(
        "--messages_per_second",
        type=positive_float,
        default=20.0,
        help="the rate, held without drift (default: %(default)s)",
    )
    parser.add_argument("--seed", type=seed, default=1, help="of the generated rows")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_service_arguments(parser, *Services)
    parser.add_argument("--project", help="Google Cloud project (default: that of the services)")


def _simulate(arguments: argparse.Namespace) -> int:
    from tf_dataflow_serving.cli.session import activated

    with activated(ServiceChoice.from_arguments(arguments)) as project:
        return _publish(arguments, project)


def _publish(arguments: argparse.Namespace, project: str) -> int:
    from tf_dataflow_serving.experiments.simulate import Clock, Load, simulate
    from tf_dataflow_serving.runners.provision import ensure_topic

    topic = ensure_topic(project, topic_path(project, arguments.input_topic))
    with _progress() as progress:
        task = progress.add_task("publishing", total=arguments.messages)
        done = simulate(
            topic,
            Load(arguments.messages, arguments.messages_per_second, arguments.seed),
            lambda count: progress.update(task, completed=count),
            Clock(),
        )
    result = {
        "topic": topic,
        "messages": len(done.source_ids),
        "first_source_id": done.source_ids.start,
        "last_source_id": done.source_ids[-1],
        "seconds": done.seconds,
        "messages_per_second": done.messages_per_second,
        "last_delay_seconds": done.last_delay,
    }
    if arguments.json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    else:
        sys.stdout.write(
            f"{result['messages']:,} messages to {topic} in {done.seconds:.2f} s: "
            f"{done.messages_per_second:,.1f} a second, "
            f"{arguments.messages_per_second:,.1f} asked for\n"
        )
    return 0


def _progress() -> Progress:
    """Return a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
