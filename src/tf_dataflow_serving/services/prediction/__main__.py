"""Runs the prediction service as a child process."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.listening import Listening, Port, add_host_argument
from tf_dataflow_serving.services.prediction.faults.text import plan_argument
from tf_dataflow_serving.services.prediction.server import serve
from tf_dataflow_serving.services.prediction.service import Deployment


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the parent ends or a signal comes."""
    options = _parser().parse_args(arguments)
    listening = Listening(options.host, {Port.PREDICTION: options.port})
    child.run(
        serve(listening, options.storage_url, options.deploy, options.data_dir, options.faults)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tf_dataflow_serving.services.prediction")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one (default)")
    add_host_argument(parser)
    parser.add_argument("--storage_url", required=True, help="where gs:// is, as http://HOST:PORT")
    parser.add_argument(
        "--deploy",
        type=_deployment,
        action="append",
        default=[],
        metavar="NAME:VERSION=PATH",
        help="serve the SavedModel in PATH from the start; may be repeated",
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        metavar="DIR",
        help="where models and jobs are kept (default: nowhere)",
    )
    parser.add_argument(
        "--faults",
        type=plan_argument,
        metavar="PLAN",
        help="what goes wrong with online predictions from the start, as NAME=VALUE, several "
        "with commas: errors=429:0.5+503:0.1,latency=normal:50:10,seed=7 (default: nothing)",
    )
    return parser


def _deployment(text: str) -> Deployment:
    resource, _, path = text.partition("=")
    model, _, version = resource.partition(":")
    if not (model and version and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:VERSION=PATH")
    return Deployment(model, version, Path(path))


if __name__ == "__main__":
    main()
