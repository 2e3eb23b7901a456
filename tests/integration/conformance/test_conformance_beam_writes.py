"""Unmodified Beam writes to BigQuery: streaming inserts, and loads into tables of every kind."""

from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.bigquery import SCHEMA_AUTODETECT, WriteToBigQuery
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.cloud import bigquery, storage

STREAMING = {"method": WriteToBigQuery.Method.STREAMING_INSERTS}
FILE_LOADS = {"method": WriteToBigQuery.Method.FILE_LOADS}
SCHEMA = {
    "fields": [
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "name", "type": "STRING"},
        {"name": "seen", "type": "TIMESTAMP"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}]},
    ]
}
STORED: list[dict[str, Any]] = [
    {
        "id": number,
        "name": None if number % 3 == 0 else f"row {number}",
        "seen": datetime(2024, 1, 1, 0, 0, 0, number, UTC),
        "tags": [str(number)] * (number % 3),
        "place": {"city": f"city {number}"},
    }
    for number in range(50)
]
ROWS = [{**row, "seen": row["seen"].isoformat()} for row in STORED]
NARROW = {"fields": [{"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"}]}


@pytest.fixture
def out(client: bigquery.Client, dataset: str) -> str:
    """The name of a table that does not exist yet, as Beam writes it."""
    return f"{client.project}:{dataset}.out"


def rows_of(client: bigquery.Client, table: str) -> list[dict[str, Any]]:
    found = client.list_rows(table.replace(":", "."), timeout=60)
    return sorted((dict(row) for row in found), key=lambda row: int(row["id"]))


def write(
    options: PipelineOptions, rows: list[dict[str, Any]], table: Any, **arguments: Any
) -> None:
    with beam.Pipeline(options=options) as pipeline:
        to_table = WriteToBigQuery(table, **{"schema": SCHEMA, **arguments})
        _ = pipeline | beam.Create(rows) | to_table


class TestStreamingInserts:
    def test_they_write_every_row_once(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        write(options, ROWS, out, **STREAMING)
        assert rows_of(client, out) == STORED

    def test_they_write_every_row_once_with_auto_sharding(
        self, client: bigquery.Client, out: str
    ) -> None:
        # Beam shards in streaming pipelines only.
        streaming = PipelineOptions(
            [], runner="BundleBasedDirectRunner", streaming=True, project=client.project
        )
        write(streaming, ROWS, out, with_auto_sharding=True, **STREAMING)
        assert rows_of(client, out) == STORED

    def test_they_give_bad_rows_back(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        bad = {"id": "no number", "name": "bad"}
        never = "RETRY_ON_TRANSIENT_ERROR"
        to_table = WriteToBigQuery(out, schema=SCHEMA, insert_retry_strategy=never, **STREAMING)
        with beam.Pipeline(options=options) as pipeline:
            written = pipeline | beam.Create([ROWS[1], bad, ROWS[2]]) | to_table
            names = written.failed_rows | beam.Map(lambda failed: failed[1]["name"])
            assert_that(names, equal_to(["bad"]))
            reasons = written.failed_rows_with_errors | beam.Map(lambda row: row[2][0]["reason"])
            assert_that(reasons, equal_to(["invalid"]), "reasons")
        assert rows_of(client, out) == STORED[1:3]

    def test_each_row_goes_to_its_table(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        write(options, ROWS, lambda row: f"{out}_{row['id'] % 2}", **STREAMING)
        for remainder in (0, 1):
            expected = [row for row in STORED if row["id"] % 2 == remainder]
            assert rows_of(client, f"{out}_{remainder}") == expected

    # WRITE_TRUNCATE: Beam would sleep for two and a half minutes once it made the table anew.
    def test_they_append(self, options: PipelineOptions, client: bigquery.Client, out: str) -> None:
        write(options, ROWS[:1], out, **STREAMING)
        write(options, ROWS[1:2], out, write_disposition="WRITE_APPEND", **STREAMING)
        assert rows_of(client, out) == STORED[:2]


@pytest.mark.parametrize("file_format", ["NEWLINE_DELIMITED_JSON", "AVRO"])
class TestFileLoads:
    def ready(self, rows: list[dict[str, Any]], file_format: str) -> list[dict[str, Any]]:
        """Beam writes timestamps to Avro files from datetimes only."""
        ids = [row["id"] for row in rows]
        return [row for row in STORED if row["id"] in ids] if file_format == "AVRO" else rows

    def test_they_append_and_truncate(
        self, options: PipelineOptions, client: bigquery.Client, out: str, file_format: str
    ) -> None:
        arguments = {**FILE_LOADS, "temp_file_format": file_format}
        write(options, self.ready(ROWS[:20], file_format), out, **arguments)
        rest = self.ready(ROWS[20:], file_format)
        write(options, rest, out, write_disposition="WRITE_APPEND", **arguments)
        assert rows_of(client, out) == STORED
        write(options, rest, out, write_disposition="WRITE_TRUNCATE", **arguments)
        assert rows_of(client, out) == STORED[20:]

    def test_many_files_are_loaded_by_many_jobs_and_copied(
        self,
        options: PipelineOptions,
        client: bigquery.Client,
        dataset: str,
        out: str,
        file_format: str,
    ) -> None:
        arguments = {**FILE_LOADS, "temp_file_format": file_format}
        write(
            options,
            self.ready(ROWS[:16], file_format),
            out,
            max_file_size=100,
            max_partition_size=800,
            max_files_per_bundle=2,
            write_disposition="WRITE_TRUNCATE",
            **arguments,
        )
        assert rows_of(client, out) == STORED[:16]
        jobs = [job for job in client.list_jobs() if dataset in str(job.to_api_repr())]
        assert {job.job_type for job in jobs} >= {"load", "copy"}
        # The temporary tables are gone.
        assert [listed.table_id for listed in client.list_tables(dataset)] == ["out"]


class TestTables:
    def test_that_must_be_empty(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        empty = "WRITE_EMPTY"
        write(options, ROWS[:1], out, write_disposition=empty, **FILE_LOADS)
        with pytest.raises(RuntimeError, match="Already Exists"):
            write(options, ROWS, out, write_disposition=empty, **FILE_LOADS)
        assert rows_of(client, out) == STORED[:1]

    def test_partitioned_and_clustered(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        rows = [{"id": number, "day": f"2024-01-0{number % 3 + 1}"} for number in range(9)]
        parameters = {
            "timePartitioning": {"type": "DAY", "field": "day"},
            "clustering": {"fields": ["id"]},
        }
        write(options, rows, out, schema=NARROW, additional_bq_parameters=parameters, **FILE_LOADS)
        table = client.get_table(out.replace(":", "."))
        assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "day")
        assert table.clustering_fields == ["id"]
        assert [row["day"].day for row in rows_of(client, out)] == [1, 2, 3] * 3

    def test_partitioned_and_clustered_by_streaming_inserts(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        parameters = {
            "timePartitioning": {"type": "DAY", "field": "day"},
            "clustering": {"fields": ["id"]},
        }
        rows = [{"id": 1, "day": "2024-01-01"}]
        write(options, rows, out, schema=NARROW, additional_bq_parameters=parameters, **STREAMING)
        table = client.get_table(out.replace(":", "."))
        assert table.time_partitioning.field == "day"
        assert table.clustering_fields == ["id"]
        assert len(rows_of(client, out)) == 1

    def test_whose_schema_is_detected(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        write(options, ROWS, out, schema=SCHEMA_AUTODETECT, **FILE_LOADS)
        assert rows_of(client, out) == STORED

    def test_whose_schema_is_text(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        write(options, [{"id": 1, "day": "2024-01-01"}], out, schema="id:INTEGER,day:DATE")
        fields = client.get_table(out.replace(":", ".")).schema
        assert [(field.name, field.field_type) for field in fields] == [
            ("id", "INTEGER"),
            ("day", "DATE"),
        ]

    def test_whose_schema_is_updated(
        self, options: PipelineOptions, client: bigquery.Client, out: str
    ) -> None:
        write(options, [{"id": 1}], out, schema="id:INTEGER", **FILE_LOADS)
        wider = "id:INTEGER,day:DATE"
        rows = [{"id": 2, "day": "2024-01-01"}]
        parameters = {"schemaUpdateOptions": ["ALLOW_FIELD_ADDITION"]}
        write(options, rows, out, schema=wider, additional_bq_parameters=parameters, **FILE_LOADS)
        assert [row["day"] is None for row in rows_of(client, out)] == [True, False]

    def test_by_element(
        self, options: PipelineOptions, client: bigquery.Client, dataset: str, out: str
    ) -> None:
        write(options, ROWS, lambda row: f"{out}_{row['id'] % 3}", **FILE_LOADS)
        for remainder in range(3):
            expected = [row for row in STORED if row["id"] % 3 == remainder]
            assert rows_of(client, f"{out}_{remainder}") == expected
        assert len(list(client.list_tables(dataset))) == 3

    def test_that_exist(self, options: PipelineOptions, client: bigquery.Client, out: str) -> None:
        never = "CREATE_NEVER"
        client.create_table(bigquery.Table(out.replace(":", "."), SCHEMA["fields"]))
        write(options, ROWS, out, create_disposition=never, **FILE_LOADS)
        assert rows_of(client, out) == STORED


def test_what_is_the_users_stays(
    options: PipelineOptions,
    client: bigquery.Client,
    bucket: storage.Bucket,
    dataset: str,
    out: str,
) -> None:
    bucket.blob("temp/bq_load/mine").upload_from_string("kept")
    mine = f"{client.project}.{dataset}.mine"
    client.load_table_from_json([{"id": 1}], mine).result(timeout=60)
    datasets = {
        listed.dataset_id for listed in client.list_datasets() if dataset in listed.dataset_id
    }
    write(options, ROWS, out, **FILE_LOADS)
    assert [row["id"] for row in client.list_rows(mine)] == [1]
    assert {table.table_id for table in client.list_tables(dataset)} == {"mine", "out"}
    found = {listed.dataset_id for listed in client.list_datasets() if dataset in listed.dataset_id}
    assert found == datasets
    # Beam leaves its own files there too.
    assert bucket.blob("temp/bq_load/mine").download_as_text() == "kept"
