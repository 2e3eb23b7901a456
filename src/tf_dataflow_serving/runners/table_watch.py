"""Tells when the messages of a stream are in its tables."""

from dataclasses import dataclass

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines.dead_letter import TABLE_SUFFIX

QUERY_TIMEOUT_SECONDS = 30.0


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
        """Whether the rows are visible to a query."""
        return sum(_rows(self.client, name) for name in self.tables) >= self.target


def _rows(client: bigquery.Client, table: str) -> int:
    query = f"SELECT COUNT(*) FROM `{table}`"  # noqa: S608 - a table's name, which has no parameter
    try:
        return int(next(iter(client.query_and_wait(query, wait_timeout=QUERY_TIMEOUT_SECONDS)))[0])
    except NotFound:
        return 0
