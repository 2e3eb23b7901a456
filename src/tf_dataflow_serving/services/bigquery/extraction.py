"""Extract jobs: a table into files.

Source: JobConfigurationExtract
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationExtract).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.objects import ObjectStore, ObjectUri
from tf_dataflow_serving.services.bigquery.warehouse import TableRef, Warehouse
from tf_dataflow_serving.services.bigquery.writing import WriteOptions, write_rows


async def run_extract(
    extract: Mapping[str, Any], project: str, objects: ObjectStore, warehouse: Warehouse
) -> list[int]:
    """Write the rows of a table, one file a destination URI; returns the files written for each.

    Raises NotFound, InvalidRequest, Unsupported.
    """
    table = TableRef.from_rest(extract.get("sourceTable"), project)
    uris = [ObjectUri.parse(str(uri)) for uri in extract.get("destinationUris") or ()]
    if not uris:
        raise InvalidRequest("Required parameter is missing: destinationUris")
    options = WriteOptions.from_rest(extract)
    schema = warehouse.schema(table)
    if schema is None:
        raise NotFound(f"Not found: Table {table}")
    rows = warehouse.read(table)
    share = -(-rows.num_rows // len(uris))
    for index, uri in enumerate(uris):
        part = rows.slice(index * share, share)
        content = await asyncio.to_thread(write_rows, part, schema, options)
        await objects.write(uri.shard(0), content)
    return [1] * len(uris)
