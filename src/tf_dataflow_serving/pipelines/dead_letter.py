"""Inputs that could not be estimated, with the reason; none of them vanishes."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

import apache_beam as beam
from apache_beam.io import WriteToText
from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from tf_dataflow_serving.natality.schema import ERROR_SCHEMA, table_schema
from tf_dataflow_serving.pipelines.identified_row import IdentifiedRow

TAG = "dead_letters"
OBJECT_NAME = "errors"
TABLE_SUFFIX = "_errors"
COUNTER_NAMESPACE = "serving"
COUNTER = "dead_letters"


@dataclass(frozen=True)
class DeadLetter:
    """An input as it came, why it was set aside, and the feature at fault if there is one.

    `delivered_as` names the message that it came in, if it came in one.
    """

    source: str
    reason: str
    feature: str | None = None
    delivered_as: str | None = None


TaggedLetter = TaggedOutput[Literal["dead_letters"], DeadLetter]
"""What a step yields for an input that it sets aside; Beam reads the tag's type."""


class WriteDeadLetterObjects(beam.PTransform):
    """Writes dead letters as objects of JSON lines, `PREFIX-*.jsonl`; none, no object."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def expand(self, letters: beam.PCollection) -> beam.PCollection:
        """Write them."""
        return (
            letters
            | "Stamp" >> beam.ParDo(_Stamp())
            | "ToJson" >> beam.Map(json.dumps)
            | "Write" >> WriteToText(self._prefix, file_name_suffix=".jsonl", skip_if_empty=True)
        )


class WriteDeadLetterRows(beam.PTransform):
    """Streams dead letters into the table of errors beside `output_table`."""

    def __init__(self, output_table: str) -> None:
        super().__init__()
        self._table = output_table + TABLE_SUFFIX

    def expand(self, letters: beam.PCollection) -> beam.PCollection:
        """Write them."""
        return (
            letters
            | "Stamp" >> beam.ParDo(_Stamp())
            | "Write"
            >> WriteToBigQuery(
                self._table,
                schema=table_schema(ERROR_SCHEMA),
                method=WriteToBigQuery.Method.STREAMING_INSERTS,
                create_disposition=BigQueryDisposition.CREATE_IF_NEEDED,
                write_disposition=BigQueryDisposition.WRITE_APPEND,
            )
        )


class _Stamp(beam.DoFn):
    """Turns a dead letter into a row of the table of errors, and counts it."""

    def __init__(self) -> None:
        super().__init__()
        self._counter = Metrics.counter(COUNTER_NAMESPACE, COUNTER)

    def process(self, letter: DeadLetter) -> Iterable[IdentifiedRow]:
        self._counter.inc()
        row = {"timestamp": datetime.now(UTC).isoformat(timespec="microseconds"), **asdict(letter)}
        yield IdentifiedRow(row, row.pop("delivered_as"))
