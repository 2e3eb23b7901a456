"""Load jobs: files into a table, all of them or none.

Source: JobConfigurationLoad
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.objects import ObjectStore, ObjectUri
from tf_dataflow_serving.services.bigquery.reading import (
    ReadOptions,
    SourceFile,
    detect_header,
    detect_schema,
    read_rows,
)
from tf_dataflow_serving.services.bigquery.schema import Schema, schema_from_rest
from tf_dataflow_serving.services.bigquery.warehouse import (
    Target,
    Warehouse,
    Write,
    check_target,
    store,
)

_SELF_DESCRIBING = ("AVRO", "PARQUET")


class Source(Protocol):
    """Where the files of a load job come from."""

    async def files(self, load: Mapping[str, Any]) -> Sequence[SourceFile]:
        """The files that the job names; raises NotFound, InvalidRequest."""
        ...


@dataclass(frozen=True)
class StoredSource:
    """The gs:// objects that a job names."""

    objects: ObjectStore

    async def files(self, load: Mapping[str, Any]) -> Sequence[SourceFile]:
        """Fetch them; a pattern stands for every object that matches."""
        patterns = [ObjectUri.parse(str(uri)) for uri in load.get("sourceUris") or ()]
        uris = [uri for pattern in patterns for uri in await self.objects.find(pattern)]
        return [SourceFile(str(uri), await self.objects.read(uri)) for uri in uris]


@dataclass(frozen=True)
class LoadResult:
    """What a load job tells in its statistics."""

    input_files: int
    input_bytes: int
    output_rows: int

    def to_rest(self) -> dict[str, str]:
        """Write a JobStatistics3."""
        return {
            "inputFiles": str(self.input_files),
            "inputFileBytes": str(self.input_bytes),
            "outputRows": str(self.output_rows),
            "badRecords": "0",
        }


async def run_load(
    load: Mapping[str, Any], project: str, source: Source, warehouse: Warehouse
) -> LoadResult:
    """Read every file, then write all rows at once.

    Raises NotFound, AlreadyExists, InvalidRequest, InvalidData, Unsupported; then the table is
    as it was.
    """
    target = Target.from_rest(load, project, Write.APPEND)
    check_target(warehouse, target)
    files = await source.files(load)
    existing = warehouse.schema(target.table)
    schema, rows = await asyncio.to_thread(_read, load, target, files, existing)
    store(warehouse, target, schema, rows)
    return LoadResult(len(files), sum(len(file.content) for file in files), rows.num_rows)


def _read(
    load: Mapping[str, Any],
    target: Target,
    files: Sequence[SourceFile],
    existing: Schema | None,
) -> tuple[Schema, pa.Table]:
    if not files:
        raise InvalidRequest("Load configuration must specify at least one source URI")
    source_format = str(load.get("sourceFormat") or "CSV").upper()
    options = ReadOptions.from_rest(load)
    if load.get("autodetect"):
        options = detect_header(source_format, files[0], options)
    schema = _known_schema(load, target, source_format, existing)
    if schema is None:
        schema = detect_schema(source_format, files[0], options)
    tables = [read_rows(source_format, file, schema, options) for file in files]
    return schema, pa.concat_tables(tables)


def _known_schema(
    load: Mapping[str, Any], target: Target, source_format: str, existing: Schema | None
) -> Schema | None:
    """The schema to read by, the job's or the table's; None: that of the first file.

    Raises InvalidRequest if there is none at all.
    """
    replaces = target.write is Write.TRUNCATE
    declared = schema_from_rest((load.get("schema") or {}).get("fields") or ())
    if declared:
        return declared if replaces else _reconciled(declared, existing)
    tells_itself = source_format in _SELF_DESCRIBING
    if existing and not (replaces and (tells_itself or load.get("autodetect"))):
        return existing
    if tells_itself or load.get("autodetect"):
        return None
    raise InvalidRequest("No schema specified on job or table.")


def _reconciled(declared: Schema, existing: Schema | None) -> Schema:
    """The declared fields, with the table's types and modes where it has them."""
    known = {field.name: field for field in existing or ()}
    return tuple(known.get(field.name, field) for field in declared)
