"""Load jobs: files into a table, all of them or none.

Source: JobConfigurationLoad
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore, ObjectUri
from tf_dataflow_serving.services.bigquery.files.reading import (
    ReadOptions,
    RowsRead,
    SourceFile,
    detect_header,
    detect_schema,
    read_rows,
)
from tf_dataflow_serving.services.bigquery.jobs.load_schema import load_schema
from tf_dataflow_serving.services.bigquery.types.schema import Schema
from tf_dataflow_serving.services.bigquery.warehouse import (
    Target,
    Warehouse,
    Write,
    check_target,
    store,
)


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
class UploadedSource:
    """The one file that came with the request."""

    path: Path

    async def files(self, load: Mapping[str, Any]) -> Sequence[SourceFile]:  # noqa: ARG002
        """Read it; what the job names itself plays no part."""
        return [SourceFile("uploaded file", await asyncio.to_thread(self.path.read_bytes))]


@dataclass(frozen=True)
class LoadResult:
    """What a load job tells in its statistics."""

    input_files: int
    input_bytes: int
    output_rows: int
    bad_records: int = 0

    def to_rest(self) -> dict[str, str]:
        """Write a JobStatistics3."""
        return {
            "inputFiles": str(self.input_files),
            "inputFileBytes": str(self.input_bytes),
            "outputRows": str(self.output_rows),
            "badRecords": str(self.bad_records),
        }


def check_load(load: Mapping[str, Any], project: str, warehouse: Warehouse) -> None:
    """Raise what `run_load` would without having read a file."""
    ReadOptions.from_rest(load)
    check_target(warehouse, Target.from_rest(load, project, Write.APPEND))


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
    existing = warehouse.schema(target.table.base)
    schema, read = await asyncio.to_thread(_read, load, target, files, existing)
    store(warehouse, target, schema, read.rows)
    size = sum(len(file.content) for file in files)
    return LoadResult(len(files), size, read.rows.num_rows, read.bad_records)


def _read(
    load: Mapping[str, Any],
    target: Target,
    files: Sequence[SourceFile],
    existing: Schema | None,
) -> tuple[Schema, RowsRead]:
    if not files:
        raise InvalidRequest("Load configuration must specify at least one source URI")
    source_format = str(load.get("sourceFormat") or "CSV").upper()
    options = ReadOptions.from_rest(load)
    if load.get("autodetect"):
        options = detect_header(source_format, files[0], options)
    known = None if target.replaces_table else existing
    schema = load_schema(
        load, target, known or (), lambda: detect_schema(source_format, files[0], options)
    )
    if schema is None:
        schema = existing
    if not schema:
        raise InvalidRequest("No schema specified on job or table.")
    return schema, _read_all(source_format, files, schema, options)


def _read_all(
    source_format: str, files: Sequence[SourceFile], schema: Schema, options: ReadOptions
) -> RowsRead:
    """The rows of all files; the number of bad records that is allowed is that of the job."""
    tables: list[pa.Table] = []
    bad = 0
    for file in files:
        left = replace(options, max_bad_records=options.max_bad_records - bad)
        read = read_rows(source_format, file, schema, left)
        tables.append(read.rows)
        bad += read.bad_records
    return RowsRead(pa.concat_tables(tables), bad)
