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


def build(pipeline: beam.Pipeline, options: ServingOptions, handler: ModelHandler) -> None:
    """Add the steps of `stream`, which predicts each message as it comes."""
    _build(pipeline, options, Estimate(handler, _message_source))


def build_micro_batches(
    pipeline: beam.Pipeline, options: ServingOptions, handler: ModelHandler
) -> None:
    """Add the steps of `stream-m-batches`, which predicts batches of N or of T seconds."""
    estimate = EstimateMicroBatches(
        handler, _message_source, options.batch_size, options.batch_seconds
    )
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
        try:
            message = decode(element.data, element.attributes)
            yield message, validate(message.instance)
        except InvalidMessage as invalid:
            yield TaggedOutput(TAG, DeadLetter(_text(element.data), str(invalid)))
        except InvalidInstance as invalid:
            letter = DeadLetter(_text(element.data), invalid.reason, invalid.feature)
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


def _stamped_row(message: Message, estimated_weight: float) -> dict[str, object]:
    return prediction_row(message, estimated_weight, datetime.now(UTC))


def _refused_row(_table: str, row: dict[str, object], errors: object) -> DeadLetter:
    return DeadLetter(str(row), f"refused by BigQuery: {errors}")


def _message_source(message: Message) -> str:
    instance = validate(message.instance)
    data, _ = encode(instance, message.source_id, message.source_timestamp)
    return data.decode()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
