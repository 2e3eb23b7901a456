"""Every flag of `run`, defined once; free of Beam, so that help and mistakes answer at once."""

import argparse
import math
import re
from enum import StrEnum

from tf_dataflow_serving.natality.schema import SAMPLES_TABLE

DEFAULT_SAMPLE_SIZE = 1_000
DEFAULT_BATCH_SIZE = 1_000
DEFAULT_MICRO_BATCH_SIZE = 100
DEFAULT_BATCH_SECONDS = 1.0
DEFAULT_OUTPUT_TABLE = "serving.babyweight_estimates"
DEFAULT_MODEL_NAME = "babyweight_estimator"
DEFAULT_MODEL_VERSION = "v1"
DEFAULT_LOCATION = "us-central1"
DEFAULT_MACHINE_TYPE = "n1-standard-2"
JOB_TIMEOUT_SECONDS = 24 * 3600.0

_BUCKET = r"gs://[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_BUCKET_PATH = re.compile(rf"{_BUCKET}(?:/.*)?")
_OBJECT_PATH = re.compile(rf"{_BUCKET}/.+")


def endpoint_id(model: str) -> str:
    """Return the id of the endpoint that is a model's own: `_` is not allowed there."""
    return model.lower().replace("_", "-")


DEFAULT_ENDPOINT = endpoint_id(DEFAULT_MODEL_NAME)


class Experiment(StrEnum):
    """What is run: which source, which sink, how elements reach the model."""

    BATCH = "batch"
    BATCH_PREDICT = "batch-predict"
    STREAM = "stream"
    STREAM_MICRO_BATCHES = "stream-m-batches"

    @property
    def is_streaming(self) -> bool:
        """Whether the experiment reads Pub/Sub without end."""
        return self in (Experiment.STREAM, Experiment.STREAM_MICRO_BATCHES)

    @property
    def inference_types(self) -> "tuple[InferenceType, ...]":
        """The ways to reach the model, the default one first."""
        if self is Experiment.BATCH_PREDICT:
            return (InferenceType.NOT_APPLICABLE, InferenceType.VERTEX)
        return (InferenceType.LOCAL, InferenceType.CMLE, InferenceType.VERTEX)


class InferenceType(StrEnum):
    """Where the model is: in the worker, or in a service, which with batch-predict runs a job.

    The services are Cloud ML Engine, whose job is NOT_APPLICABLE as the original has it, and
    Vertex AI.
    """

    LOCAL = "local"
    CMLE = "cmle"
    VERTEX = "vertex"
    NOT_APPLICABLE = "NA"


class Services(StrEnum):
    """Where Pub/Sub, BigQuery, Cloud Storage and prediction are."""

    EMBEDDED = "embedded"
    CONTAINERS = "containers"
    EXTERNAL = "external"
    GCP = "gcp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every flag."""
    add_experiment_arguments(parser)
    add_source_arguments(parser)
    add_sink_arguments(parser)
    add_model_arguments(parser)


def add_experiment_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose the experiment."""
    parser.add_argument(
        "--experiment_type",
        "--experiment-type",
        choices=[str(value) for value in Experiment],
        help="what to run (default: batch)",
    )
    parser.add_argument(
        "--inference_type",
        "--inference-type",
        choices=[str(value) for value in InferenceType],
        help="local: the model runs in the worker; cmle: Cloud ML Engine's online prediction, "
        "which Google Cloud no longer has; vertex: a Vertex AI endpoint, or a Vertex AI batch "
        "prediction job with batch-predict; NA: a Cloud ML Engine job with batch-predict "
        "(default: local, or NA for batch-predict)",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        help="instances per prediction call, at most: stream takes what is there and never "
        "waits for more, 1 predicts each message by itself; in stream-m-batches the N of 'N or T "
        f"seconds' (default: {DEFAULT_BATCH_SIZE}, {DEFAULT_MICRO_BATCH_SIZE} in "
        "stream-m-batches)",
    )
    parser.add_argument(
        "--batch_seconds",
        "--window-size",
        type=positive_float,
        default=DEFAULT_BATCH_SECONDS,
        help="the T of stream-m-batches: a micro-batch waits no longer (default: %(default)s s)",
    )


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what is read."""
    parser.add_argument(
        "--sample_size",
        "--batch-sample-size",
        type=positive_int,
        default=DEFAULT_SAMPLE_SIZE,
        help="rows to read in the batch experiments (default: %(default)s)",
    )
    parser.add_argument(
        "--source_table",
        default=SAMPLES_TABLE,
        help="natality table, [PROJECT.]DATASET.TABLE (default: %(default)s)",
    )
    parser.add_argument(
        "--source_query", help="a query in place of the original's one over --source_table"
    )
    parser.add_argument(
        "--input_topic",
        "--pubsub-topic",
        help="Pub/Sub topic of the streams: a name or projects/P/topics/T",
    )
    parser.add_argument(
        "--input_subscription",
        "--pubsub-subscription",
        help="Pub/Sub subscription of the streams, in place of a topic: "
        "a name or projects/P/subscriptions/S",
    )
    parser.add_argument(
        "--messages",
        type=positive_int,
        help="end a stream once this many more messages are in its tables",
    )


def add_sink_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where results go."""
    parser.add_argument(
        "--output",
        "--sink-dir",
        default="output",
        help="directory or gs:// prefix of the batch results (default: %(default)s)",
    )
    parser.add_argument(
        "--output_table",
        default=DEFAULT_OUTPUT_TABLE,
        help="table of the stream results, [PROJECT.]DATASET.TABLE; dead letters go to the "
        "table of that name with _errors behind it (default: %(default)s)",
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose the model."""
    parser.add_argument(
        "--model_dir",
        help="a SavedModel behind the natality contract (default: the one that is shipped)",
    )
    parser.add_argument(
        "--prediction_url", help="URL of the prediction service (default: that of the services)"
    )
    parser.add_argument(
        "--model_name",
        default=DEFAULT_MODEL_NAME,
        help="model deployed there with cmle, or that a batch prediction job uses "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--model_version",
        default=DEFAULT_MODEL_VERSION,
        help="its version, in Vertex AI a number or an alias (default: %(default)s)",
    )
    parser.add_argument(
        "--endpoint",
        default=DEFAULT_ENDPOINT,
        help=f"Vertex AI endpoint: an id, in --region or else {DEFAULT_LOCATION}, or "
        "projects/P/locations/L/endpoints/E (default: %(default)s)",
    )


def positive_int(text: str) -> int:
    """Parse a flag that counts something."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def seed(text: str) -> int:
    """Parse the seed of generated rows."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def positive_float(text: str) -> float:
    """Parse a flag that measures something."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def bucket_path(text: str) -> str:
    """Parse a flag that names a bucket or what is below it."""
    if not _BUCKET_PATH.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form gs://BUCKET/PATH")
    return text


def object_path(text: str) -> str:
    """Parse a flag that names objects in a bucket."""
    if not _OBJECT_PATH.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form gs://BUCKET/OBJECT")
    return text


def directory(text: str) -> str:
    """Parse a flag that names a directory, here or in a bucket."""
    return bucket_path(text) if text.startswith("gs://") else text
