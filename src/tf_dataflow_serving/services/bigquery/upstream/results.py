"""What queries gave, as the anonymous tables by which clients read it through the Storage API.

Source: "Writing query results", temporary and permanent tables
(https://cloud.google.com/bigquery/docs/writing-results#temporary_and_permanent_tables).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import NotFound, Unsupported
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import Schema
from tf_dataflow_serving.services.bigquery.upstream.history import JobHistory, QueryResult
from tf_dataflow_serving.services.bigquery.upstream.warehouse import UpstreamWarehouse

_DATASET = "_anonymous"
_PREFIX = "anon"


def anonymous_table(project: str, job_id: str) -> TableRef:
    """The table that holds the result of a query job."""
    return TableRef(project, _DATASET, f"{_PREFIX}{job_id}")


@dataclass(frozen=True)
class ReadableTables:
    """The tables of a warehouse and the results of queries."""

    warehouse: UpstreamWarehouse
    history: JobHistory

    def schema(self, table: TableRef) -> Schema | None:
        """The schema of a table or result; None if there is no such table. Raises NotFound."""
        if table.dataset != _DATASET:
            return self.warehouse.schema(table)
        return self._result(table).schema

    def select(self, table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
        """These columns of the rows that satisfy a condition; "" means every row."""
        if table.dataset != _DATASET:
            return self.warehouse.select(table, columns, restriction)
        if restriction:
            raise Unsupported("The result of a query is read without a filter")
        return self._result(table).rows.select(list(columns))

    def _result(self, table: TableRef) -> QueryResult:
        result = self.history.get(table.project, table.table.removeprefix(_PREFIX)).result
        if result is None:
            raise NotFound(f"Not found: Table {table}")
        return result
