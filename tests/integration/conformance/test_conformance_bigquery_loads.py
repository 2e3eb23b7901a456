"""google-cloud-bigquery: rows from JSON, files, DataFrames and Cloud Storage; partitions."""

import gzip
import io
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery, storage
from google.cloud.bigquery import SchemaField

TIMEOUT = 60.0
ID = SchemaField("id", "INTEGER", "REQUIRED")
SCHEMA = [ID, SchemaField("name", "STRING")]


@pytest.fixture
def out(client: bigquery.Client, dataset: str) -> str:
    """The name of a table that does not exist yet."""
    return f"{client.project}.{dataset}.out"


def rows_of(client: bigquery.Client, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in client.list_rows(table, timeout=TIMEOUT)]


def ids(client: bigquery.Client, table: str) -> list[int]:
    return sorted(row["id"] for row in rows_of(client, table))


def load_json(
    client: bigquery.Client, table: str, rows: list[dict[str, Any]], **options: Any
) -> bigquery.LoadJob:
    """Load rows; by default their schema is detected."""
    config = bigquery.LoadJobConfig(**{"autodetect": "schema" not in options, **options})
    job = client.load_table_from_json(rows, table, job_config=config, timeout=TIMEOUT)
    job.result(timeout=TIMEOUT)
    return job


class TestJson:
    def test_with_a_schema(self, client: bigquery.Client, out: str) -> None:
        job = load_json(client, out, [{"id": 1, "name": "a"}, {"id": 2}], schema=SCHEMA)
        assert job.output_rows == 2
        assert rows_of(client, out) == [{"id": 1, "name": "a"}, {"id": 2, "name": None}]

    def test_whose_schema_is_detected(self, client: bigquery.Client, out: str) -> None:
        rows = [{"a": 1, "b": {"c": ["x"]}}, {"a": None, "b": None, "d": "2024-01-01"}]
        load_json(client, out, rows)
        assert rows_of(client, out) == [
            {"a": 1, "b": {"c": ["x"]}, "d": None},
            {"a": None, "b": None, "d": date(2024, 1, 1)},
        ]

    def test_into_a_table_without_columns(self, client: bigquery.Client, out: str) -> None:
        client.create_table(out)
        load_json(client, out, [{"id": 1}], schema=[ID])
        assert rows_of(client, out) == [{"id": 1}]

    def test_a_bad_row_fails_the_job(self, client: bigquery.Client, out: str) -> None:
        with pytest.raises(BadRequest):
            load_json(client, out, [{"id": 1}, {"id": "x"}], schema=SCHEMA)
        with pytest.raises(BadRequest):
            load_json(client, out, [{"id": 1, "unknown": 1}], schema=SCHEMA)

    def test_some_bad_rows_are_allowed(self, client: bigquery.Client, out: str) -> None:
        rows = [{"id": 1}, {"id": "x"}, {"id": 3}]
        load_json(client, out, rows, schema=SCHEMA, max_bad_records=1)
        assert ids(client, out) == [1, 3]

    def test_unknown_fields_are_left_out_on_demand(self, client: bigquery.Client, out: str) -> None:
        rows = [{"id": 1, "unknown": 1}]
        load_json(client, out, rows, schema=SCHEMA, ignore_unknown_values=True)
        assert rows_of(client, out) == [{"id": 1, "name": None}]


class TestDispositions:
    @pytest.mark.parametrize(
        ("disposition", "expected"), [("WRITE_APPEND", [1, 2]), ("WRITE_TRUNCATE", [2])]
    )
    def test_append_and_truncate(
        self, client: bigquery.Client, out: str, disposition: str, expected: list[int]
    ) -> None:
        load_json(client, out, [{"id": 1}], schema=SCHEMA)
        load_json(client, out, [{"id": 2}], schema=SCHEMA, write_disposition=disposition)
        assert ids(client, out) == expected

    def test_empty(self, client: bigquery.Client, out: str) -> None:
        load_json(client, out, [{"id": 1}], schema=SCHEMA, write_disposition="WRITE_EMPTY")
        with pytest.raises(Conflict):
            load_json(client, out, [{"id": 2}], schema=SCHEMA, write_disposition="WRITE_EMPTY")
        assert ids(client, out) == [1]

    def test_truncate_takes_the_new_schema(self, client: bigquery.Client, out: str) -> None:
        load_json(client, out, [{"id": 1}], schema=SCHEMA)
        other = [SchemaField("other", "FLOAT")]
        load_json(client, out, [{"other": 1.5}], schema=other, write_disposition="WRITE_TRUNCATE")
        assert rows_of(client, out) == [{"other": 1.5}]

    def test_never_create(self, client: bigquery.Client, out: str) -> None:
        with pytest.raises(NotFound):
            load_json(client, out, [{"id": 1}], schema=SCHEMA, create_disposition="CREATE_NEVER")
        client.create_table(bigquery.Table(out, SCHEMA))
        load_json(client, out, [{"id": 1}], schema=SCHEMA, create_disposition="CREATE_NEVER")
        assert ids(client, out) == [1]


class TestSchemaUpdates:
    @pytest.fixture
    def one_row(self, client: bigquery.Client, out: str) -> str:
        load_json(client, out, [{"id": 1, "name": "a"}], schema=SCHEMA)
        return out

    def test_a_new_column_needs_the_option(self, client: bigquery.Client, one_row: str) -> None:
        wider = [*SCHEMA, SchemaField("day", "DATE")]
        with pytest.raises(BadRequest):
            load_json(client, one_row, [{"id": 2, "day": "2024-01-01"}], schema=wider)
        assert ids(client, one_row) == [1]

    def test_a_field_is_added(self, client: bigquery.Client, one_row: str) -> None:
        options = ["ALLOW_FIELD_ADDITION"]
        wider = [*SCHEMA, SchemaField("day", "DATE")]
        rows = [{"id": 2, "day": "2024-01-01"}]
        load_json(client, one_row, rows, schema=wider, schema_update_options=options)
        found = {row["id"]: row["day"] for row in rows_of(client, one_row)}
        assert found == {1: None, 2: date(2024, 1, 1)}

    def test_a_detected_field_is_added(self, client: bigquery.Client, one_row: str) -> None:
        options = ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"]
        rows = [{"id": 2, "name": "b", "more": 7}]
        load_json(client, one_row, rows, schema_update_options=options)
        assert {row["id"]: row["more"] for row in rows_of(client, one_row)} == {1: None, 2: 7}

    def test_a_field_is_relaxed(self, client: bigquery.Client, one_row: str) -> None:
        relaxed = [SchemaField("id", "INTEGER"), SCHEMA[1]]
        options = ["ALLOW_FIELD_RELAXATION"]
        load_json(client, one_row, [{"name": "b"}], schema=relaxed, schema_update_options=options)
        assert [field.mode for field in client.get_table(one_row).schema] == ["NULLABLE"] * 2
        assert len(rows_of(client, one_row)) == 2

    def test_a_query_adds_a_field_to_its_destination(
        self, client: bigquery.Client, one_row: str
    ) -> None:
        config = bigquery.QueryJobConfig(
            destination=one_row,
            write_disposition="WRITE_APPEND",
            schema_update_options=["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"],
        )
        query = "SELECT 2 AS id, 'b' AS name, TRUE AS added"
        client.query(query, job_config=config).result(timeout=TIMEOUT)
        assert {row["id"]: row["added"] for row in rows_of(client, one_row)} == {1: None, 2: True}


class TestFiles:
    def test_csv(self, client: bigquery.Client, out: str) -> None:
        content = io.BytesIO(b'id,name\n1,"a, b"\n2,\n')
        config = bigquery.LoadJobConfig(source_format="CSV", autodetect=True)
        client.load_table_from_file(content, out, job_config=config).result(timeout=TIMEOUT)
        rows = sorted(rows_of(client, out), key=lambda row: row["id"])
        assert rows == [{"id": 1, "name": "a, b"}, {"id": 2, "name": ""}]

    def test_compressed_csv(self, client: bigquery.Client, out: str) -> None:
        content = io.BytesIO(gzip.compress(b"1;a\n2;b\n"))
        config = bigquery.LoadJobConfig(source_format="CSV", schema=SCHEMA, field_delimiter=";")
        client.load_table_from_file(content, out, job_config=config).result(timeout=TIMEOUT)
        assert ids(client, out) == [1, 2]

    def test_parquet_by_resumable_upload(
        self, client: bigquery.Client, dataset: str, out: str
    ) -> None:
        content = io.BytesIO()
        values = {"n": list(range(200_000)), "l": [[number] for number in range(200_000)]}
        pq.write_table(pa.table(values), content, compression="none")
        assert content.tell() > 1_000_000
        content.seek(0)
        options = bigquery.ParquetOptions()
        options.enable_list_inference = True
        config = bigquery.LoadJobConfig(source_format="PARQUET", parquet_options=options)
        # Without a size the client can't know that one request would do.
        job = client.load_table_from_file(content, out, job_config=config, job_id=f"job_{dataset}")
        assert job.result(timeout=TIMEOUT).output_rows == 200_000
        assert client.get_job(f"job_{dataset}").output_rows == 200_000
        query = f"SELECT SUM(n) AS total, SUM(l[OFFSET(0)]) AS listed FROM `{out}`"  # noqa: S608
        (row,) = client.query_and_wait(query)
        assert dict(row) == {"total": sum(values["n"]), "listed": sum(values["n"])}

    def test_a_dataframe(self, client: bigquery.Client, out: str) -> None:
        frame = pd.DataFrame(
            {
                "id": [1, 2],
                "ratio": [0.5, None],
                "name": ["Zoë", None],
                "seen": pd.to_datetime(["2024-02-29T01:02:03.000004Z", None]),
                "flag": [True, False],
            }
        )
        client.load_table_from_dataframe(frame, out).result(timeout=TIMEOUT)
        found = client.list_rows(out).to_dataframe().sort_values("id")
        assert found["id"].tolist() == [1, 2]
        assert found["name"].tolist() == ["Zoë", None]
        assert found["seen"].tolist() == frame["seen"].tolist()
        assert found["flag"].tolist() == [True, False]
        assert found["ratio"].isna().tolist() == [False, True]

    @pytest.mark.parametrize("uri", ["file:///etc/hostname", "/etc/hostname"])
    def test_those_of_the_machine_are_refused(
        self, client: bigquery.Client, out: str, uri: str
    ) -> None:
        config = bigquery.LoadJobConfig(source_format="CSV", schema=SCHEMA[1:])
        with pytest.raises(BadRequest):
            client.load_table_from_uri(uri, out, job_config=config).result(timeout=TIMEOUT)

    def test_sql_reads_none_of_the_machine(self, client: bigquery.Client) -> None:
        query = "SELECT * FROM read_csv('/etc/passwd')"
        with pytest.raises(Exception, match=r"disabled|denied|[Nn]ot|Unrecognized"):
            client.query(query, job_retry=None).result(retry=None, job_retry=None)


class TestObjects:
    def test_by_pattern(self, client: bigquery.Client, out: str, bucket: storage.Bucket) -> None:
        for number in range(3):
            bucket.blob(f"in/part-{number}.json").upload_from_string(f'{{"id": {number}}}\n')
        bucket.blob("in/other.csv").upload_from_string("no json")
        self.load(client, [f"gs://{bucket.name}/in/*.json"], out)
        assert ids(client, out) == [0, 1, 2]

    def load(
        self, client: bigquery.Client, uris: list[str], table: str, **options: Any
    ) -> bigquery.LoadJob:
        config = bigquery.LoadJobConfig(
            source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA, **options
        )
        job = client.load_table_from_uri(uris, table, job_config=config, timeout=TIMEOUT)
        job.result(timeout=TIMEOUT, retry=None)
        return job

    def test_several(self, client: bigquery.Client, out: str, bucket: storage.Bucket) -> None:
        bucket.blob("1.json").upload_from_string('{"id": 1}\n')
        bucket.blob("2.json.gz").upload_from_string(gzip.compress(b'{"id": 2}\n'))
        uris = [f"gs://{bucket.name}/1.json", f"gs://{bucket.name}/2.json.gz"]
        job = self.load(client, uris, out)
        assert (job.input_files, job.output_rows) == (2, 2)
        assert ids(client, out) == [1, 2]

    def test_a_bad_one_leaves_the_table_as_it_was(
        self, client: bigquery.Client, out: str, bucket: storage.Bucket
    ) -> None:
        load_json(client, out, [{"id": 7}], schema=SCHEMA)
        bucket.blob("1.json").upload_from_string('{"id": 1}\n')
        bucket.blob("2.json").upload_from_string('{"id": 2, "unknown": 3}\n')
        uris = [f"gs://{bucket.name}/{number}.json" for number in (1, 2)]
        with pytest.raises(BadRequest, match="no such field: unknown"):
            self.load(client, uris, out, write_disposition="WRITE_TRUNCATE")
        assert ids(client, out) == [7]

    def test_a_missing_one_fails_the_job(
        self, client: bigquery.Client, out: str, bucket: storage.Bucket
    ) -> None:
        with pytest.raises(NotFound):
            self.load(client, [f"gs://{bucket.name}/missing"], out)


class TestPartitions:
    DAYS = (date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 2))
    FIELDS = (ID, SchemaField("day", "DATE"))

    @pytest.fixture
    def by_day(self, client: bigquery.Client, out: str) -> str:
        rows = [{"id": n, "day": day.isoformat()} for n, day in enumerate(self.DAYS)]
        load_json(
            client,
            out,
            rows,
            schema=list(self.FIELDS),
            time_partitioning=bigquery.TimePartitioning(field="day", type_="DAY"),
            clustering_fields=["id"],
        )
        return out

    def test_a_load_makes_a_partitioned_and_clustered_table(
        self, client: bigquery.Client, by_day: str
    ) -> None:
        found = client.get_table(by_day)
        assert (found.time_partitioning.type_, found.time_partitioning.field) == ("DAY", "day")
        assert found.clustering_fields == ["id"]
        assert ids(client, by_day) == [0, 1, 2]

    def test_a_decorator_replaces_one_partition(self, client: bigquery.Client, by_day: str) -> None:
        load_json(
            client,
            f"{by_day}$20240101",
            [{"id": 9, "day": "2024-01-01"}],
            schema=list(self.FIELDS),
            time_partitioning=bigquery.TimePartitioning(field="day", type_="DAY"),
            write_disposition="WRITE_TRUNCATE",
        )
        assert ids(client, by_day) == [2, 9]

    def test_a_decorator_reads_one_partition(self, client: bigquery.Client, by_day: str) -> None:
        found = client.list_rows(f"{by_day}$20240101", selected_fields=list(self.FIELDS))
        assert sorted(row["id"] for row in found) == [0, 1]

    def test_a_query_finds_its_partition(self, client: bigquery.Client, by_day: str) -> None:
        query = f"SELECT id FROM `{by_day}` WHERE day = DATE '2024-01-02'"  # noqa: S608
        assert [row["id"] for row in client.query_and_wait(query)] == [2]

    def test_partitions_of_a_range_of_numbers(self, client: bigquery.Client, out: str) -> None:
        table = bigquery.Table(out, [ID])
        spread = bigquery.PartitionRange(start=0, end=100, interval=10)
        table.range_partitioning = bigquery.RangePartitioning(range_=spread, field="id")
        client.create_table(table)
        assert client.insert_rows_json(out, [{"id": 5}, {"id": 55}]) == []
        found = client.get_table(out).range_partitioning
        assert (found.field, found.range_.interval) == ("id", 10)
        assert ids(client, out) == [5, 55]
