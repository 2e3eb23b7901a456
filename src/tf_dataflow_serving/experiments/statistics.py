"""The original's statistics of a stream's table, with microseconds and percentiles."""

from dataclasses import dataclass, fields

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.natality.queries import statistics_query

QUERY_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class StreamStatistics:
    """Latency is from a message's source_timestamp to its predict_timestamp, in seconds.

    `total_seconds` is from the first source_timestamp to the last predict_timestamp. All but
    the counts are None for a table without rows.
    """

    row_count: int
    distinct_row_count: int
    total_seconds: float | None
    min_latency_seconds: float | None
    avg_latency_seconds: float | None
    max_latency_seconds: float | None
    p50_latency_seconds: float | None
    p99_latency_seconds: float | None


def stream_statistics(project: str, table: str) -> StreamStatistics:
    """Query a table of estimates, [PROJECT.]DATASET.TABLE; raises UserError if that fails."""
    client = bigquery.Client(project=project)
    query = statistics_query(table)
    try:
        row = next(iter(client.query_and_wait(query, wait_timeout=QUERY_TIMEOUT_SECONDS)))
    except GoogleAPICallError as error:
        raise UserError(f"no statistics of {table}: {error.message}") from error
    return StreamStatistics(**{field.name: row[field.name] for field in fields(StreamStatistics)})
