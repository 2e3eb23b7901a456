"""`dataflow-serving batch-predict`: a batch prediction job, followed to its end."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
from rich.console import Console

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.prediction_arguments import (
    Protocol,
    add_protocol_arguments,
    location,
    prediction_url,
    refuse_strays,
)
from tf_dataflow_serving.cli.service_arguments import ServiceChoice
from tf_dataflow_serving.flags import (
    DEFAULT_MODEL_NAME,
    DEFAULT_MODEL_VERSION,
    JOB_TIMEOUT_SECONDS,
    bucket_path,
    object_path,
    positive_float,
    positive_int,
)

if TYPE_CHECKING:
    from tf_dataflow_serving.inference.batch_job import JobClient, JobStatus

_FLAGS = {Protocol.CMLE: ["signature_name"], Protocol.VERTEX: ["key_field"]}


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "batch-predict",
        _batch_predict,
        "submit a batch prediction job, follow it, and say what it did",
        epilog="Ctrl-C stops following; the job goes on, and its URL is told.",
    )
    parser.add_argument(
        "--input",
        required=True,
        nargs="+",
        type=object_path,
        metavar="gs://BUCKET/OBJECT",
        help="objects with an instance as JSON on each line; * and ** are wildcards",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=bucket_path,
        metavar="gs://BUCKET/PATH",
        help="where the results go",
    )
    parser.add_argument(
        "--model_name", default=DEFAULT_MODEL_NAME, help="the model (default: %(default)s)"
    )
    parser.add_argument(
        "--model_version",
        default=DEFAULT_MODEL_VERSION,
        help="its version, in Vertex AI a number or an alias (default: %(default)s)",
    )
    parser.add_argument("--signature_name", help="cmle: a signature other than the default one")
    parser.add_argument(
        "--key_field",
        help="vertex: the field of the instances that the model does not see, and that results "
        "have in place of the instance",
    )
    parser.add_argument("--max_workers", type=positive_int, help="workers, at most")
    parser.add_argument("--batch_size", type=positive_int, help="instances a model call has")
    parser.add_argument(
        "--timeout",
        type=positive_float,
        default=JOB_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="follow the job no longer (default: a day)",
    )
    add_protocol_arguments(parser, region="vertex: the location; cmle: where the job runs")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _batch_predict(arguments: argparse.Namespace) -> int:
    refuse_strays(arguments, _FLAGS)
    from tf_dataflow_serving.cli.session import activated

    with activated(ServiceChoice.from_arguments(arguments)) as project:
        status = _followed(arguments, _client(arguments, project))
    if arguments.json:
        sys.stdout.write(orjson.dumps(asdict(status)).decode() + "\n")
    else:
        sys.stdout.write(_summary(status))
    return 0


def _client(arguments: argparse.Namespace, project: str) -> "JobClient":
    from tf_dataflow_serving.inference.cmle_job import CmleJobClient
    from tf_dataflow_serving.inference.endpoint import PredictionEndpoint, VertexModel
    from tf_dataflow_serving.inference.vertex_job import VertexJobClient

    url, model, version = prediction_url(arguments), arguments.model_name, arguments.model_version
    if arguments.protocol == Protocol.CMLE:
        endpoint = PredictionEndpoint(url, project, model, version, arguments.signature_name)
        return CmleJobClient(endpoint, region=location(arguments))
    vertex_model = VertexModel(url, project, location(arguments), model, version)
    return VertexJobClient(vertex_model, arguments.key_field)


def _followed(arguments: argparse.Namespace, client: "JobClient") -> "JobStatus":
    from tf_dataflow_serving.inference.batch_job import BatchJob, wait

    job = BatchJob(arguments.input, arguments.output, arguments.max_workers, arguments.batch_size)
    job_id = client.submit(job)
    with _left_behind(job_id, client.url(job_id)):
        sys.stderr.write(f"submitted {job_id}\n")
        with _progress() as progress:
            return wait(client, job_id, arguments.timeout, progress.show)


@contextmanager
def _left_behind(job_id: str, url: str) -> Iterator[None]:
    """Say what becomes of a job that is not followed to its end."""
    from tf_dataflow_serving.inference.errors import JobFailed

    try:
        yield
    except JobFailed:
        raise
    except BaseException:
        # Ctrl-C and SIGTERM too.
        sys.stderr.write(f"job {job_id} goes on: GET {url} follows it, POST {url}:cancel ends it\n")
        raise


class _Progress:
    """Shows how far a job is: in one line of a terminal, elsewhere in a line for each state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line = console.status("")
        self._last = ""

    def show(self, status: "JobStatus") -> None:
        text = f"{status.state}: {status.predictions:,} predicted, {status.errors:,} failed"
        if self._console.is_terminal:
            self._line.start()
            self._line.update(text)
        elif status.state != self._last:
            self._last = status.state
            self._console.print(text, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._line.stop()


@contextmanager
def _progress() -> Iterator[_Progress]:
    progress = _Progress(Console(stderr=True))
    try:
        yield progress
    finally:
        progress.end()


def _summary(status: "JobStatus") -> str:
    return (
        f"{status.job_id} {status.state}: {status.predictions:,} predictions, "
        f"{status.errors:,} errors, {status.node_hours * 3600:,.1f} s of node time\n"
        f"  results in {status.output_directory}\n"
    )
