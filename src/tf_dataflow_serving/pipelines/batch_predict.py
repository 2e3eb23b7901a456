"""The batch-predict experiment: prepare instances, let a prediction job estimate, join.

The job runs between two pipelines: `build_prepare` writes the instances that it reads, and
`build_join` brings what it wrote back to the rows, by key.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.io import ReadFromText, WriteToText
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from tf_dataflow_serving.inference.batch_job import JobResults
from tf_dataflow_serving.inference.results import Estimate, Rejected
from tf_dataflow_serving.model import KEY
from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines import dead_letter
from tf_dataflow_serving.pipelines.batch import (
    ReadInstances,
    Row,
    WriteEstimates,
    output_directory,
    row_source,
)
from tf_dataflow_serving.pipelines.dead_letter import (
    TAG,
    DeadLetter,
    TaggedLetter,
    WriteDeadLetterObjects,
)
from tf_dataflow_serving.pipelines.estimate import ESTIMATES_COUNTER


def instances_pattern(directory: str) -> str:
    """Return the objects that the prediction job reads: JSON lines, an instance with its key."""
    return f"{directory}/prepared/instances-*.jsonl"


def job_directory(directory: str) -> str:
    """Return where the prediction job writes."""
    return f"{directory}/job"


def build_prepare(pipeline: beam.Pipeline, options: ServingOptions) -> None:
    """Add the steps that write valid instances, and their rows, each with the same key."""
    directory = output_directory(options)
    instances, invalid = pipeline | ReadInstances(options)
    keyed = (
        instances
        | "Key" >> beam.Map(lambda pair: (uuid.uuid4().hex, pair))
        # A retry must not give new keys to one of the two outputs below.
        | "KeepKeys" >> beam.Reshuffle()
    )
    _ = (
        keyed
        | "ToInstanceLine" >> beam.MapTuple(_instance_line)
        | "WriteInstances"
        >> WriteToText(f"{directory}/prepared/instances", file_name_suffix=".jsonl")
    )
    _ = (
        keyed
        | "ToRowLine" >> beam.MapTuple(_row_line)
        | "WriteRows" >> WriteToText(f"{directory}/prepared/rows", file_name_suffix=".jsonl")
    )
    _ = invalid | "WriteDeadLetters" >> WriteDeadLetterObjects(
        f"{directory}/{dead_letter.OBJECT_NAME}-prepare"
    )


def build_join(
    pipeline: beam.Pipeline, options: ServingOptions, results: JobResults, results_directory: str
) -> None:
    """Add the steps that join the job's predictions to the rows; a row without one is dead."""
    directory = output_directory(options)
    rows = (
        pipeline
        | "ReadRows" >> ReadFromText(f"{directory}/prepared/rows-*.jsonl")
        | "ParseRow" >> beam.Map(_parse_row)
    )
    predictions = (
        pipeline
        | "ReadPredictions" >> ReadFromText(results.pattern(results_directory))
        | "ParsePrediction" >> beam.Map(results.parse)
    )
    joined = (
        {"rows": rows, "predictions": predictions}
        | "ByKey" >> beam.CoGroupByKey()
        | "Join" >> beam.ParDo(_Join()).with_outputs(TAG, main="estimates")
    )
    _ = joined.estimates | "WriteEstimates" >> WriteEstimates(directory)
    _ = joined[TAG] | "WriteDeadLetters" >> WriteDeadLetterObjects(
        f"{directory}/{dead_letter.OBJECT_NAME}-job"
    )


def _instance_line(key: str, pair: tuple[Row, Instance]) -> str:
    return orjson.dumps({KEY: key, **pair[1]}).decode()


def _row_line(key: str, pair: tuple[Row, Instance]) -> str:
    return orjson.dumps({KEY: key, "row": pair[0]}, default=str).decode()


def _parse_row(line: str) -> tuple[str, Row]:
    parsed = json.loads(line)
    return parsed[KEY], parsed["row"]


class _Join(beam.DoFn):
    """Pairs each row with its one prediction."""

    def __init__(self) -> None:
        super().__init__()
        self._counter = Metrics.counter(dead_letter.COUNTER_NAMESPACE, ESTIMATES_COUNTER)

    def process(
        self, group: tuple[str, Mapping[str, Iterable[Any]]]
    ) -> Iterable[tuple[Row, float] | TaggedLetter]:
        _, joined = group
        estimate = _only(list(joined["predictions"]))
        for row in joined["rows"]:
            if isinstance(estimate, Rejected):
                yield TaggedOutput(TAG, DeadLetter(row_source(row), estimate.reason))
            else:
                self._counter.inc()
                yield row, estimate


def _only(estimates: Sequence[Estimate]) -> Estimate:
    if len(estimates) == 1:
        return estimates[0]
    return Rejected(f"the prediction job returned {len(estimates)} results for it")
