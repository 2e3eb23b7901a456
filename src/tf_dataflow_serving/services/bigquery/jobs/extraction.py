"""Extract jobs: a table into files.

Source: JobConfigurationExtract
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationExtract).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore, ObjectUri
from tf_dataflow_serving.services.bigquery.files.writing import WriteOptions, write_rows
from tf_dataflow_serving.services.bigquery.types.schema import Schema
from tf_dataflow_serving.services.bigquery.warehouse import TableRef, Warehouse, read_rows


@dataclass(frozen=True)
class _Extraction:
    table: TableRef
    schema: Schema
    uris: tuple[ObjectUri, ...]
    options: WriteOptions


def check_extract(extract: Mapping[str, Any], project: str, warehouse: Warehouse) -> None:
    """Raise what `run_extract` would without having written a file."""
    _parsed(extract, project, warehouse)


async def run_extract(
    extract: Mapping[str, Any], project: str, objects: ObjectStore, warehouse: Warehouse
) -> list[int]:
    """Write the rows of a table, one file a destination URI; returns the files written for each.

    Raises NotFound, InvalidRequest, Unsupported.
    """
    job = _parsed(extract, project, warehouse)
    rows = read_rows(warehouse, job.table)
    share = -(-rows.num_rows // len(job.uris))
    for index, uri in enumerate(job.uris):
        part = rows.slice(index * share, share)
        content = await asyncio.to_thread(write_rows, part, job.schema, job.options)
        await objects.write(uri.shard(0), content)
    return [1] * len(job.uris)


def _parsed(extract: Mapping[str, Any], project: str, warehouse: Warehouse) -> _Extraction:
    table = TableRef.from_rest(extract.get("sourceTable"), project)
    uris = tuple(ObjectUri.parse(str(uri)) for uri in extract.get("destinationUris") or ())
    if not uris:
        raise InvalidRequest("Required parameter is missing: destinationUris")
    options = WriteOptions.from_rest(extract)
    schema = warehouse.schema(table.base)
    if schema is None:
        raise NotFound(f"Not found: Table {table}")
    return _Extraction(table, schema, uris, options)
