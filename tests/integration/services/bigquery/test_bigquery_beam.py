"""Unmodified Beam pipelines read from and write to the service."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.bigquery import ReadFromBigQuery, WriteToBigQuery
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.cloud import bigquery, storage

PROJECT = "local-project"

SCHEMA = [
    bigquery.SchemaField("id", "INTEGER", "REQUIRED"),
    bigquery.SchemaField("weight", "FLOAT"),
    bigquery.SchemaField("alive", "BOOLEAN"),
    bigquery.SchemaField("name", "STRING"),
    bigquery.SchemaField("amount", "NUMERIC"),
    bigquery.SchemaField("seen", "TIMESTAMP"),
    bigquery.SchemaField("tags", "STRING", "REPEATED"),
    bigquery.SchemaField(
        "place",
        "RECORD",
        fields=[
            bigquery.SchemaField("city", "STRING"),
            bigquery.SchemaField("codes", "INTEGER", "REPEATED"),
        ],
    ),
]
FULL: dict[str, Any] = {
    "id": 1,
    "weight": 7.25,
    "alive": True,
    "name": "Zoë",
    "amount": "12.345678901",
    "seen": "2024-02-29T12:34:56.000007Z",
    "tags": ["a", "b"],
    "place": {"city": "Oslo", "codes": [1, 2]},
}
EMPTY: dict[str, Any] = {"id": 2}
SEEN = datetime(2024, 2, 29, 12, 34, 56, 7, tzinfo=UTC)

BEAM_SCHEMA = {
    "fields": [
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "name", "type": "STRING"},
        {"name": "seen", "type": "TIMESTAMP"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}]},
    ]
}
ROWS = [
    {
        "id": number,
        "name": None if number % 3 == 0 else f"row {number}",
        "seen": f"2024-01-01 00:00:00.{number:06d} UTC",
        "tags": [str(number)] * (number % 3),
        "place": {"city": f"city {number}"},
    }
    for number in range(50)
]


@pytest.fixture
def options(bucket: storage.Bucket) -> PipelineOptions:
    return PipelineOptions(
        [], runner="FnApiRunner", project=PROJECT, temp_location=f"gs://{bucket.name}/temp"
    )


@pytest.fixture
def source(client: bigquery.Client, dataset: str) -> str:
    """A table with one full row and one that is empty but for its id."""
    table = f"{PROJECT}.{dataset}.source"
    client.create_table(bigquery.Table(table, SCHEMA))
    assert client.insert_rows_json(table, [FULL, EMPTY]) == []
    return table


def assert_read(options: PipelineOptions, read: beam.PTransform, rows: list[Any]) -> None:
    with beam.Pipeline(options=options) as pipeline:
        assert_that(pipeline | read, equal_to(rows))


def by_query(source: str) -> dict[str, Any]:
    return {"query": f"SELECT * FROM `{source}`", "use_standard_sql": True}  # noqa: S608


def by_table(source: str) -> dict[str, Any]:
    return {"table": source.replace(".", ":", 1)}


# What Beam makes of the two rows, by the format in which it fetches them.
EXACT = {
    "id": 1,
    "weight": 7.25,
    "alive": True,
    "name": "Zoë",
    "amount": Decimal("12.345678901"),
    "seen": SEEN,
    "tags": ["a", "b"],
    "place": {"city": "Oslo", "codes": [1, 2]},
}
NULLS = {
    "id": 2,
    "weight": None,
    "alive": None,
    "name": None,
    "amount": None,
    "seen": None,
    "tags": [],
    "place": None,
}


@pytest.mark.parametrize("origin", [by_query, by_table])
@pytest.mark.parametrize("native", [False, True], ids=["avro", "arrow"])
def test_direct_read_gives_every_value(
    options: PipelineOptions, source: str, origin: Callable[[str], dict[str, Any]], native: bool
) -> None:
    method = ReadFromBigQuery.Method.DIRECT_READ
    read = ReadFromBigQuery(method=method, use_native_datetime=native, **origin(source))
    assert_read(options, read, [EXACT, NULLS])


@pytest.mark.parametrize("origin", [by_query, by_table])
def test_avro_export_gives_every_value(
    options: PipelineOptions, source: str, origin: Callable[[str], dict[str, Any]]
) -> None:
    assert_read(options, ReadFromBigQuery(**origin(source)), [EXACT, NULLS])


@pytest.mark.parametrize("origin", [by_query, by_table])
def test_json_export_gives_every_value(
    options: PipelineOptions, source: str, origin: Callable[[str], dict[str, Any]]
) -> None:
    read = ReadFromBigQuery(use_json_exports=True, **origin(source))
    # Beam leaves timestamps of JSON exports as the text that BigQuery writes.
    text = {"seen": "2024-02-29 12:34:56.000007 UTC"}
    assert_read(options, read, [EXACT | text, NULLS])


@pytest.mark.parametrize("method", list("DE"))
def test_reading_a_query_leaves_the_users_datasets(
    options: PipelineOptions, client: bigquery.Client, source: str, dataset: str, method: str
) -> None:
    before = {listed.dataset_id for listed in client.list_datasets()}
    methods = {
        "D": ReadFromBigQuery.Method.DIRECT_READ,
        "E": ReadFromBigQuery.Method.EXPORT,
    }
    read = ReadFromBigQuery(method=methods[method], **by_query(source))
    assert_read(options, read | beam.Map(lambda row: row["id"]), [1, 2])
    assert {listed.dataset_id for listed in client.list_datasets()} == before
    assert client.get_table(f"{dataset}.source").num_rows == 2


def rows_of(client: bigquery.Client, table: str) -> list[dict[str, Any]]:
    return sorted((dict(row) for row in client.list_rows(table)), key=lambda row: row["id"])


def stored(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ROWS as BigQuery's client gives it back."""
    seen = datetime.fromisoformat(row["seen"].removesuffix(" UTC")).replace(tzinfo=UTC)
    return {**row, "seen": seen}


def write(options: PipelineOptions, rows: list[dict[str, Any]], **arguments: Any) -> None:
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(rows) | WriteToBigQuery(schema=BEAM_SCHEMA, **arguments)


STREAMING = WriteToBigQuery.Method.STREAMING_INSERTS
FILE_LOADS = WriteToBigQuery.Method.FILE_LOADS


def test_streaming_inserts_write_every_row_once(
    options: PipelineOptions, client: bigquery.Client, dataset: str
) -> None:
    write(options, ROWS, table=f"{PROJECT}:{dataset}.out", method=STREAMING)
    assert rows_of(client, f"{dataset}.out") == [stored(row) for row in ROWS]


def test_streaming_inserts_with_auto_sharding_write_every_row_once(
    client: bigquery.Client, dataset: str
) -> None:
    # Beam shards in streaming pipelines only.
    streaming = PipelineOptions(
        [], runner="BundleBasedDirectRunner", streaming=True, project=PROJECT
    )
    table = f"{PROJECT}:{dataset}.out"
    write(streaming, ROWS, table=table, method=STREAMING, with_auto_sharding=True)
    assert rows_of(client, f"{dataset}.out") == [stored(row) for row in ROWS]


def test_streaming_inserts_give_bad_rows_back(
    options: PipelineOptions, client: bigquery.Client, dataset: str
) -> None:
    bad = {"id": "no number", "name": "bad"}
    with beam.Pipeline(options=options) as pipeline:
        written = (
            pipeline
            | beam.Create([ROWS[0], bad, ROWS[1]])
            | WriteToBigQuery(
                f"{PROJECT}:{dataset}.out",
                schema=BEAM_SCHEMA,
                method=STREAMING,
                insert_retry_strategy="RETRY_ON_TRANSIENT_ERROR",
            )
        )
        names = written.failed_rows | beam.Map(lambda failed: failed[1]["name"])
        assert_that(names, equal_to(["bad"]))
    assert rows_of(client, f"{dataset}.out") == [stored(row) for row in ROWS[:2]]


@pytest.mark.parametrize("file_format", ["NEWLINE_DELIMITED_JSON", "AVRO"])
@pytest.mark.parametrize("disposition", ["WRITE_APPEND", "WRITE_TRUNCATE"])
def test_file_loads_append_or_truncate(
    options: PipelineOptions,
    client: bigquery.Client,
    dataset: str,
    file_format: str,
    disposition: str,
) -> None:
    table = f"{PROJECT}:{dataset}.out"
    arguments = {"table": table, "method": FILE_LOADS, "temp_file_format": file_format}
    write(options, avro_ready(ROWS[:20], file_format), **arguments)
    rest = avro_ready(ROWS[20:], file_format)
    write(options, rest, **arguments, write_disposition=disposition)
    expected = ROWS if disposition == "WRITE_APPEND" else ROWS[20:]
    assert rows_of(client, f"{dataset}.out") == [stored(row) for row in expected]


def avro_ready(rows: list[dict[str, Any]], file_format: str) -> list[dict[str, Any]]:
    """Beam writes timestamps to Avro files from datetimes only."""
    return [stored(row) for row in rows] if file_format == "AVRO" else rows


def test_file_loads_refuse_a_table_that_is_not_empty(
    options: PipelineOptions, client: bigquery.Client, dataset: str
) -> None:
    table = f"{PROJECT}:{dataset}.out"
    write(options, ROWS[:1], table=table, method=FILE_LOADS)
    with pytest.raises(RuntimeError, match="Already Exists"):
        write(options, ROWS, table=table, method=FILE_LOADS, write_disposition="WRITE_EMPTY")
    assert rows_of(client, f"{dataset}.out") == [stored(row) for row in ROWS[:1]]


def test_file_loads_of_many_files_use_copy_jobs(
    options: PipelineOptions, client: bigquery.Client, dataset: str
) -> None:
    write(
        options,
        ROWS,
        table=f"{PROJECT}:{dataset}.out",
        method=FILE_LOADS,
        max_file_size=100,
        max_partition_size=2_000,
        write_disposition="WRITE_TRUNCATE",
    )
    assert rows_of(client, f"{dataset}.out") == [stored(row) for row in ROWS]
    kinds = {job.job_type for job in client.list_jobs() if dataset in json.dumps(job.to_api_repr())}
    assert kinds >= {"load", "copy"}
    # The temporary tables are gone.
    assert [listed.table_id for listed in client.list_tables(dataset)] == ["out"]
