"""The streaming experiments: Pub/Sub -> validate -> estimate -> BigQuery."""

from collections.abc import Iterable
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery
from apache_beam.io.gcp.bigquery_tools import RetryStrategy
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import TaggedOutput

from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.natality.messages import (
    InvalidMessage,
    Message,
    decode,
    encode,
    prediction_row,
)
from tf_dataflow_serving.natality.schema import PREDICTION_SCHEMA, table_schema
from tf_dataflow_serving.natality.validation import InvalidInstance, validate
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines.dead_letter import (
    TAG,
    DeadLetter,
    TaggedLetter,
    WriteDeadLetterRows,
)
from tf_dataflow_serving.pipelines.estimate import Estimate, EstimateMicroBatches
from tf_dataflow_serving.pipelines.identified_row import IdentifiedRow


def build(pipeline: beam.Pipeline, options: ServingOptions, handler: ModelHandler) -> None:
    """Add the steps of `stream`, which predicts each message as it comes."""
    _build(pipeline, options, Estimate(handler, _rejected))


def build_micro_batches(
    pipeline: beam.Pipeline, options: ServingOptions, handler: ModelHandler
) -> None:
    """Add the steps of `stream-m-batches`, which predicts batches of N or of T seconds."""
    estimate = EstimateMicroBatches(handler, _rejected, options.batch_size, options.batch_seconds)
    _build(pipeline, options, estimate)


def _build(pipeline: beam.Pipeline, options: ServingOptions, estimate: beam.PTransform) -> None:
    messages = pipeline | "Read" >> ReadFromPubSub(
        topic=None if options.input_subscription else options.input_topic,
        subscription=options.input_subscription,
        with_attributes=True,
    )
    valid = messages | "Validate" >> beam.ParDo(_ValidateMessage()).with_outputs(
        TAG, main="instances"
    )
    estimates, rejected = valid.instances | "Estimate" >> estimate
    unwritten = estimates | "WriteEstimates" >> _WriteEstimates(options.output_table)
    _ = (
        (valid[TAG], rejected, unwritten)
        | "AllDeadLetters" >> beam.Flatten()
        | "WriteDeadLetters" >> WriteDeadLetterRows(options.output_table)
    )


class _ValidateMessage(beam.DoFn):
    """Turns messages into instances, and those that cannot be estimated into dead letters."""

    def process(self, element: PubsubMessage) -> Iterable[tuple[Message, Instance] | TaggedLetter]:
        name = _delivered_as(element)
        try:
            message = decode(element.data, element.attributes, name)
            yield message, validate(message.instance)
        except InvalidMessage as invalid:
            letter = DeadLetter(_text(element.data), str(invalid), delivered_as=name)
            yield TaggedOutput(TAG, letter)
        except InvalidInstance as invalid:
            letter = DeadLetter(_text(element.data), invalid.reason, invalid.feature, name)
            yield TaggedOutput(TAG, letter)


class _WriteEstimates(beam.PTransform):
    """Streams (Message, pounds) pairs into the table; returns the dead letters of refused rows."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._table = table

    def expand(self, estimates: beam.PCollection) -> beam.PCollection:
        """Write them."""
        written = (
            estimates
            | "ToRow" >> beam.MapTuple(_stamped_row)
            | "Write"
            >> WriteToBigQuery(
                self._table,
                schema=table_schema(PREDICTION_SCHEMA),
                method=WriteToBigQuery.Method.STREAMING_INSERTS,
                create_disposition=BigQueryDisposition.CREATE_IF_NEEDED,
                write_disposition=BigQueryDisposition.WRITE_APPEND,
                insert_retry_strategy=RetryStrategy.RETRY_ON_TRANSIENT_ERROR,
            )
        )
        return written.failed_rows_with_errors | "Refused" >> beam.MapTuple(_refused_row)


def _stamped_row(message: Message, estimated_weight: float) -> IdentifiedRow:
    row = prediction_row(message, estimated_weight, datetime.now(UTC))
    return IdentifiedRow(row, message.delivered_as)


def _delivered_as(message: PubsubMessage) -> str | None:
    """An emulator that was started anew may use its message ids again, at another time."""
    if message.message_id is None or message.publish_time is None:
        return None
    return f"{message.message_id} {message.publish_time.timestamp()}"


def _refused_row(_table: str, row: dict[str, object], errors: object) -> DeadLetter:
    return DeadLetter(str(row), f"refused by BigQuery: {errors}")


def _rejected(message: Message, reason: str) -> DeadLetter:
    instance = validate(message.instance)
    data, _ = encode(instance, message.source_id, message.source_timestamp)
    return DeadLetter(data.decode(), reason, delivered_as=message.delivered_as)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
