"""`dataflow-serving faults`: lets the prediction service that runs fail, and tells what struck."""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import Services, positive_float
from tf_dataflow_serving.services.endpoints import VARIABLES
from tf_dataflow_serving.services.prediction.faults.text import plan_argument

if TYPE_CHECKING:
    from tf_dataflow_serving.services.prediction.control.client import PredictionControl


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "faults",
        _faults,
        "let the local prediction service fail; without arguments, tell what is in force and "
        "how often it struck",
        epilog="Example: dataflow-serving faults errors=429:0.5,reset=0.01,seed=7. All faults are "
        "in docs/prediction-faults.md.",
    )
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "plan",
        nargs="?",
        type=plan_argument,
        metavar="NAME=VALUE,...",
        help="requests_per_minute=N, concurrent_requests=N, latency=fixed:MS, "
        "latency=normal:MEAN:DEVIATION, latency=long-tail:MEDIAN:P99, errors=CODE:SHARE+..., "
        "retry_after=SECONDS, reset=SHARE, truncate=SHARE, slow_body=SHARE:SECONDS, "
        "restart=AFTER_REQUESTS:SECONDS, seed=N",
    )
    change.add_argument("--clear", action="store_true", help="end all faults")
    change.add_argument(
        "--restart",
        type=positive_float,
        metavar="SECONDS",
        help="let the service be away for so long, from now",
    )
    parser.add_argument("--json", action="store_true", help="print plan and counts as JSON")
    add_service_arguments(parser, Services.EMBEDDED, Services.CONTAINERS, Services.EXTERNAL)


def _faults(arguments: argparse.Namespace) -> int:
    from tf_dataflow_serving.cli.session import activated
    from tf_dataflow_serving.services.prediction.control.client import PredictionControl

    with (
        activated(ServiceChoice.from_arguments(arguments)),
        PredictionControl(_url()) as control,
    ):
        _change(arguments, control)
        if arguments.restart is None:
            _report(control, as_json=arguments.json)
    return 0


def _url() -> str:
    url = os.environ.get(VARIABLES["prediction"])
    if not url:
        raise UsageError(f"no prediction service: {VARIABLES['prediction']} is not set")
    return url


def _change(arguments: argparse.Namespace, control: "PredictionControl") -> None:
    if arguments.plan is not None:
        control.inject(arguments.plan)
    elif arguments.clear:
        control.clear()
    elif arguments.restart is not None:
        control.restart(arguments.restart)


def _report(control: "PredictionControl", *, as_json: bool) -> None:
    from tf_dataflow_serving.services.prediction.faults.document import plan_document

    plan, counts = control.plan(), asdict(control.counts())
    document = None if plan is None else plan_document(plan)
    if as_json:
        found = orjson.dumps({"plan": document, "counts": counts}, option=orjson.OPT_NON_STR_KEYS)
        sys.stdout.write(found.decode() + "\n")
    elif document is None:
        sys.stdout.write("no faults\n")
    else:
        sys.stdout.write(f"in force: {_listed(document)}\nso far: {_listed(counts)}\n")


def _listed(values: Mapping[Any, Any]) -> str:
    """Return what is not nothing: NAME VALUE, ..."""
    return ", ".join(
        f"{name} {_listed(value) if isinstance(value, dict) else value}"
        for name, value in values.items()
        if value
    )
