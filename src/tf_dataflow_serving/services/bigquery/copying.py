"""Copy jobs: the rows of one table or several into another.

Source: JobConfigurationTableCopy
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationTableCopy).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.schema import Schema, arrow_schema
from tf_dataflow_serving.services.bigquery.warehouse import (
    TableRef,
    Target,
    Warehouse,
    Write,
    store,
)


def is_plain_copy(copy: Mapping[str, Any]) -> bool:
    """Whether a job copies rows, rather than making or restoring a snapshot or a clone."""
    return (copy.get("operationType") or "COPY") == "COPY"


def run_copy(copy: Mapping[str, Any], project: str, warehouse: Warehouse) -> int:
    """Write the rows of all sources at once; returns their number.

    Raises NotFound, AlreadyExists, or InvalidRequest if the schemas differ.
    """
    references = copy.get("sourceTables") or [copy.get("sourceTable")]
    sources = [TableRef.from_rest(reference, project) for reference in references]
    schemas = [_schema(source, warehouse) for source in sources]
    if any(arrow_schema(schema) != arrow_schema(schemas[0]) for schema in schemas):
        raise InvalidRequest("Source tables have different schemas")
    rows = pa.concat_tables([warehouse.read(source) for source in sources])
    target = Target.from_rest(copy, project, Write.EMPTY)
    store(warehouse, replace(target, layout=warehouse.layout(sources[0])), schemas[0], rows)
    return int(rows.num_rows)


def _schema(table: TableRef, warehouse: Warehouse) -> Schema:
    schema = warehouse.schema(table)
    if schema is None:
        raise NotFound(f"Not found: Table {table}")
    return schema
