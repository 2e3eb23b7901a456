"""Copy jobs: the rows of one table or several into another.

Source: JobConfigurationTableCopy
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationTableCopy).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.types.schema import (
    Schema,
    relaxed,
    without_descriptions,
)
from tf_dataflow_serving.services.bigquery.warehouse import (
    TableRef,
    Target,
    Warehouse,
    Write,
    check_target,
    read_rows,
    store,
)


@dataclass(frozen=True)
class _Copy:
    sources: tuple[TableRef, ...]
    schema: Schema
    target: Target


def is_plain_copy(copy: Mapping[str, Any]) -> bool:
    """Whether a job copies rows, rather than making or restoring a snapshot or a clone."""
    return (copy.get("operationType") or "COPY") == "COPY"


def check_copy(copy: Mapping[str, Any], project: str, warehouse: Warehouse) -> None:
    """Raise what `run_copy` would without having read a row."""
    check_target(warehouse, _parsed(copy, project, warehouse).target)


def run_copy(copy: Mapping[str, Any], project: str, warehouse: Warehouse) -> int:
    """Write the rows of all sources at once; returns their number.

    Raises NotFound, AlreadyExists, or InvalidRequest if the schemas differ.
    """
    job = _parsed(copy, project, warehouse)
    rows = pa.concat_tables([read_rows(warehouse, source) for source in job.sources])
    layout = warehouse.layout(job.sources[0].base)
    store(warehouse, replace(job.target, layout=layout), job.schema, rows)
    return int(rows.num_rows)


def _parsed(copy: Mapping[str, Any], project: str, warehouse: Warehouse) -> _Copy:
    references = copy.get("sourceTables") or [copy.get("sourceTable")]
    sources = tuple(TableRef.from_rest(reference, project) for reference in references)
    schema = _common([_schema(source, warehouse) for source in sources])
    return _Copy(sources, schema, Target.from_rest(copy, project, Write.EMPTY))


def _common(schemas: Sequence[Schema]) -> Schema:
    """The schema that the rows of all sources fit; raises InvalidRequest if there is none."""
    exact = {without_descriptions(schema) for schema in schemas}
    if len({relaxed(schema) for schema in exact}) > 1:
        raise InvalidRequest("Source tables have different schemas")
    return schemas[0] if len(exact) == 1 else relaxed(schemas[0])


def _schema(table: TableRef, warehouse: Warehouse) -> Schema:
    schema = warehouse.schema(table.base)
    if schema is None:
        raise NotFound(f"Not found: Table {table}")
    return schema
