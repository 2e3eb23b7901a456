"""The batch experiment: BigQuery -> validate -> estimate -> CSV objects."""

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.io import WriteToText
from apache_beam.io.gcp.bigquery import ReadFromBigQuery
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints.decorators import no_annotations

from tf_dataflow_serving.natality import csv_output
from tf_dataflow_serving.natality.instance import Instance, from_row
from tf_dataflow_serving.natality.queries import source_query
from tf_dataflow_serving.natality.schema import LABEL
from tf_dataflow_serving.natality.validation import InvalidInstance, validate
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines import dead_letter
from tf_dataflow_serving.pipelines.dead_letter import (
    TAG,
    DeadLetter,
    TaggedLetter,
    WriteDeadLetterObjects,
)
from tf_dataflow_serving.pipelines.estimate import Estimate

OBJECT_NAME = "estimates"

Row = Mapping[str, object]


def build(pipeline: beam.Pipeline, options: ServingOptions, handler: ModelHandler) -> None:
    """Add the experiment's steps to the pipeline."""
    directory = output_directory(options)
    instances, invalid = pipeline | ReadInstances(options)
    estimates, rejected = instances | "Estimate" >> Estimate(handler, _rejected)
    _ = estimates | "WriteEstimates" >> WriteEstimates(directory)
    _ = (
        (invalid, rejected)
        | "AllDeadLetters" >> beam.Flatten()
        | "WriteDeadLetters" >> WriteDeadLetterObjects(f"{directory}/{dead_letter.OBJECT_NAME}")
    )


class ReadInstances(beam.PTransform):
    """Reads rows; returns (row, Instance) pairs and the dead letters of the invalid ones."""

    def __init__(self, options: ServingOptions) -> None:
        super().__init__()
        self._query = options.source_query or source_query(
            options.source_table, options.sample_size
        )

    @no_annotations
    def expand(self, begin: beam.pvalue.PBegin) -> tuple[beam.PCollection, beam.PCollection]:
        """Read them."""
        outputs = (
            begin
            | "Read"
            >> ReadFromBigQuery(
                query=self._query,
                use_standard_sql=True,
                method=ReadFromBigQuery.Method.DIRECT_READ,
            )
            | "Validate" >> beam.ParDo(_ValidateRow()).with_outputs(TAG, main="instances")
        )
        return outputs.instances, outputs[TAG]


class WriteEstimates(beam.PTransform):
    """Writes (row, pounds) pairs as CSV objects with a header, `estimates-*.csv`."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self._prefix = f"{directory}/{OBJECT_NAME}"

    def expand(self, estimates: beam.PCollection) -> beam.PCollection:
        """Write them."""
        return (
            estimates
            | "ToCsv" >> beam.MapTuple(_csv_line)
            | "Write"
            >> WriteToText(self._prefix, file_name_suffix=".csv", header=csv_output.HEADER)
        )


class _ValidateRow(beam.DoFn):
    """Turns rows into instances, and those that the model must not see into dead letters."""

    def process(self, row: Row) -> Iterable[tuple[Row, Instance] | TaggedLetter]:
        try:
            yield row, validate(from_row(row))
        except InvalidInstance as invalid:
            letter = DeadLetter(row_source(row), invalid.reason, invalid.feature)
            yield TaggedOutput(TAG, letter)


def _csv_line(row: Row, estimated_weight: float) -> str:
    return csv_output.to_csv({**from_row(row), LABEL: row.get(LABEL)}, estimated_weight)


def _rejected(row: Row, reason: str) -> DeadLetter:
    return DeadLetter(row_source(row), reason)


def row_source(row: Row) -> str:
    """Write a row as one line of JSON."""
    return orjson.dumps(row, default=str).decode()


def output_directory(options: Any) -> str:
    """Return the directory or gs:// prefix of the results, without a slash at its end."""
    return str(options.output).rstrip("/")
