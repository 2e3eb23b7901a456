"""Tells when the messages of a stream are in its tables."""

from dataclasses import dataclass

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.cloud import bigquery
from requests.exceptions import RequestException

from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines.dead_letter import TABLE_SUFFIX

QUERY_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class TableWatch:
    """Waits for a number of rows, estimates and dead letters together."""

    client: bigquery.Client
    tables: tuple[str, ...]
    target: int

    @classmethod
    def start(cls, options: PipelineOptions) -> "TableWatch":
        """Count what is there already; `messages` more make it complete."""
        serving = options.view_as(ServingOptions)
        client = bigquery.Client(project=options.view_as(GoogleCloudOptions).project)
        table = serving.output_table.replace(":", ".")
        tables = (table, table + TABLE_SUFFIX)
        before = sum(_rows(client, name) for name in tables)
        return cls(client, tables, before + serving.messages)

    def is_complete(self) -> bool:
        """Whether the rows are visible to a query; not while BigQuery cannot be asked."""
        try:
            return sum(_rows(self.client, name) for name in self.tables) >= self.target
        except (GoogleAPIError, RequestException):
            return False


def _rows(client: bigquery.Client, table: str) -> int:
    query = f"SELECT COUNT(*) FROM `{table}`"  # noqa: S608 - a table's name, which has no parameter
    try:
        # Asked again soon anyway; Google's client would go on for 10 minutes.
        rows = client.query_and_wait(
            query,
            api_timeout=QUERY_TIMEOUT_SECONDS,
            wait_timeout=QUERY_TIMEOUT_SECONDS,
            retry=None,
            job_retry=None,
        )
        return int(next(iter(rows))[0])
    except NotFound:
        return 0
