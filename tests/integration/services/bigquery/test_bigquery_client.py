"""google-cloud-bigquery against the service."""

import io
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery, bigquery_storage, storage

PROJECT = "local-project"

SCHEMA = [
    bigquery.SchemaField("id", "INTEGER", "REQUIRED"),
    bigquery.SchemaField("ratio", "FLOAT"),
    bigquery.SchemaField("flag", "BOOLEAN"),
    bigquery.SchemaField("name", "STRING"),
    bigquery.SchemaField("blob", "BYTES"),
    bigquery.SchemaField("amount", "NUMERIC"),
    bigquery.SchemaField("day", "DATE"),
    bigquery.SchemaField("hour", "TIME"),
    bigquery.SchemaField("local", "DATETIME"),
    bigquery.SchemaField("moment", "TIMESTAMP"),
    bigquery.SchemaField("document", "JSON"),
    bigquery.SchemaField("numbers", "INTEGER", "REPEATED"),
    bigquery.SchemaField(
        "inner",
        "RECORD",
        "REPEATED",
        fields=[
            bigquery.SchemaField("key", "STRING"),
            bigquery.SchemaField("values", "FLOAT", "REPEATED"),
        ],
    ),
]
SENT: dict[str, Any] = {
    "id": -(2**63),
    "ratio": 0.1,
    "flag": False,
    "name": 'quote " and \n line',
    "blob": "AP8Q",
    "amount": "-12345678901234567890.123456789",
    "day": "0001-01-01",
    "hour": "23:59:59.999999",
    "local": "2024-02-29T01:02:03.000004",
    "moment": "9999-12-31T23:59:59.999999Z",
    "document": '{"a": [1, null]}',
    "numbers": [1, 2, 3],
    "inner": [{"key": "k", "values": [1.5]}, {"key": None, "values": []}],
}
KEPT: dict[str, Any] = {
    "id": -(2**63),
    "ratio": 0.1,
    "flag": False,
    "name": 'quote " and \n line',
    "blob": b"\x00\xff\x10",
    "amount": Decimal("-12345678901234567890.123456789"),
    "day": date(1, 1, 1),
    "hour": time(23, 59, 59, 999999),
    "local": datetime(2024, 2, 29, 1, 2, 3, 4),
    "moment": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    "document": {"a": [1, None]},
    "numbers": [1, 2, 3],
    "inner": [{"key": "k", "values": [1.5]}, {"key": None, "values": []}],
}
NULLS = {name: [] if name in ("numbers", "inner") else None for name in KEPT} | {"id": 2}


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    name = f"{PROJECT}.{dataset}.all_types"
    client.create_table(bigquery.Table(name, SCHEMA))
    return name


def rows_of(client: bigquery.Client, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in client.list_rows(table)]


def test_datasets_are_created_listed_and_deleted(client: bigquery.Client, dataset: str) -> None:
    assert client.get_dataset(dataset).dataset_id == dataset
    assert dataset in {listed.dataset_id for listed in client.list_datasets()}
    client.delete_dataset(dataset)
    with pytest.raises(NotFound):
        client.get_dataset(dataset)


def test_a_label_filter_lists_no_other_dataset(client: bigquery.Client, dataset: str) -> None:
    labelled = bigquery.Dataset(f"{PROJECT}.{dataset}_labelled")
    labelled.labels = {"owner": dataset}
    client.create_dataset(labelled)
    try:
        listed = client.list_datasets(filter=f"labels.owner:{dataset}")
        assert [found.dataset_id for found in listed] == [labelled.dataset_id]
    finally:
        client.delete_dataset(labelled)


def test_a_dataset_with_tables_is_not_deleted(client: bigquery.Client, table: str) -> None:
    dataset = table.split(".")[1]
    with pytest.raises(BadRequest, match="in use"):
        client.delete_dataset(dataset, not_found_ok=True)
    assert client.get_table(table).num_rows == 0


def test_a_table_needs_its_dataset(client: bigquery.Client) -> None:
    with pytest.raises(NotFound):
        client.create_table(f"{PROJECT}.nowhere.table", retry=None)


def test_tables_are_listed_in_pages(client: bigquery.Client, dataset: str) -> None:
    names = {f"table_{number}" for number in range(5)}
    for name in names:
        client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.{name}", SCHEMA[:1]))
    pages = [list(page) for page in client.list_tables(dataset, page_size=2).pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {listed.table_id for page in pages for listed in page} == names


def test_streamed_rows_come_back_exactly(client: bigquery.Client, table: str) -> None:
    assert client.insert_rows_json(table, [SENT, {"id": 2}]) == []
    assert rows_of(client, table) == [KEPT, NULLS]
    assert client.get_table(table).num_rows == 2


def test_an_insert_id_inserts_once(client: bigquery.Client, table: str) -> None:
    for _ in range(2):
        assert client.insert_rows_json(table, [{"id": 1}, {"id": 2}], row_ids=["a", "b"]) == []
    assert client.insert_rows_json(table, [{"id": 1}], row_ids=[None]) == []
    assert sorted(row["id"] for row in rows_of(client, table)) == [1, 1, 2]


def test_a_table_made_anew_takes_known_insert_ids(client: bigquery.Client, table: str) -> None:
    for _ in range(2):
        client.delete_table(table)
        client.create_table(bigquery.Table(table, SCHEMA))
        assert client.insert_rows_json(table, [{"id": 1}], row_ids=["a"]) == []
        assert len(rows_of(client, table)) == 1


def test_a_bad_row_stops_its_request(client: bigquery.Client, table: str) -> None:
    errors = client.insert_rows_json(table, [{"id": 1}, {"id": "x"}, {"id": 3, "no": 1}])
    reasons = [(error["index"], error["errors"][0]["reason"]) for error in errors]
    assert reasons == [(0, "stopped"), (1, "invalid"), (2, "invalid")]
    assert rows_of(client, table) == []


def test_bad_rows_are_skipped_on_demand(client: bigquery.Client, table: str) -> None:
    rows = [{"id": 1}, {"id": "x"}, {"id": 3, "no": 1}]
    errors = client.insert_rows_json(
        table, rows, skip_invalid_rows=True, ignore_unknown_values=True
    )
    assert [error["index"] for error in errors] == [1]
    assert [row["id"] for row in rows_of(client, table)] == [1, 3]


def test_queries_with_parameters(client: bigquery.Client, table: str) -> None:
    client.insert_rows_json(table, [SENT, {"id": 2}])
    parameters = [bigquery.ScalarQueryParameter("id", "INT64", 2)]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    query = f"SELECT * FROM `{table}` WHERE id = @id"  # noqa: S608
    assert [dict(row) for row in client.query(query, job_config=config).result()] == [NULLS]
    assert [dict(row) for row in client.query_and_wait(query, job_config=config)] == [NULLS]


def test_a_query_fails_with_its_reason(client: bigquery.Client) -> None:
    with pytest.raises(NotFound):
        client.query("SELECT * FROM `nowhere.table`").result(retry=None)


@pytest.mark.parametrize(
    ("query", "failure", "reason"),
    [
        ("SELECT * FROM nowhere.nothing", NotFound, "nowhere"),
        ("SELEC 1", BadRequest, "."),
        ("SELECT 1 / 0 / no_column", BadRequest, "no_column"),
    ],
)
def test_a_query_without_a_job_fails_too(
    client: bigquery.Client, query: str, failure: type[Exception], reason: str
) -> None:
    with pytest.raises(failure, match=reason):
        client.query_and_wait(query, retry=None, job_retry=None)


def test_rows_by_arrow_through_the_storage_api(
    client: bigquery.Client, reader: bigquery_storage.BigQueryReadClient, table: str
) -> None:
    client.insert_rows_json(table, [SENT, {"id": 2}])
    fetched = client.list_rows(table).to_arrow(bqstorage_client=reader)
    full, nulls = fetched.to_pylist()
    assert full == KEPT | {"document": SENT["document"]}
    assert {name: value or None for name, value in nulls.items()} == {
        name: value or None for name, value in NULLS.items()
    }


def test_a_large_query_result_by_arrow_through_the_storage_api(
    client: bigquery.Client, reader: bigquery_storage.BigQueryReadClient
) -> None:
    query = "SELECT n, CAST(n AS STRING) AS s FROM UNNEST(GENERATE_ARRAY(1, 120000)) AS n"
    job = client.query(query)
    fetched = job.result().to_arrow(bqstorage_client=reader)
    assert fetched.num_rows == 120_000
    destination = job.destination
    session = reader.create_read_session(
        parent=f"projects/{PROJECT}",
        read_session={
            "table": f"projects/{PROJECT}/datasets/{destination.dataset_id}"
            f"/tables/{destination.table_id}",
            "data_format": bigquery_storage.DataFormat.ARROW,
        },
        max_stream_count=4,
    )
    streamed = [reader.read_rows(stream.name).to_arrow(session) for stream in session.streams]
    assert pa.concat_tables(streamed)["n"].to_pylist() == list(range(1, 120_001))


class TestQueryDestination:
    QUERY = "SELECT 1 AS id, [1, 2] AS numbers, STRUCT('x' AS key) AS inner"

    def run(self, client: bigquery.Client, table: str, **config: Any) -> bigquery.QueryJob:
        job = client.query(
            self.QUERY, job_config=bigquery.QueryJobConfig(destination=table, **config)
        )
        job.result()
        return job

    def test_it_gets_the_rows_and_their_schema(self, client: bigquery.Client, dataset: str) -> None:
        table = f"{PROJECT}.{dataset}.out"
        job = self.run(client, table)
        assert rows_of(client, table) == [{"id": 1, "numbers": [1, 2], "inner": {"key": "x"}}]
        kinds = {
            field.name: (field.field_type, field.mode) for field in client.get_table(table).schema
        }
        assert kinds == {
            "id": ("INTEGER", "NULLABLE"),
            "numbers": ("INTEGER", "REPEATED"),
            "inner": ("RECORD", "NULLABLE"),
        }
        assert client.get_job(job.job_id).destination.table_id == "out"

    @pytest.mark.parametrize(("disposition", "count"), [("WRITE_APPEND", 2), ("WRITE_TRUNCATE", 1)])
    def test_it_is_appended_to_or_replaced(
        self, client: bigquery.Client, dataset: str, disposition: str, count: int
    ) -> None:
        table = f"{PROJECT}.{dataset}.out"
        for _ in range(2):
            self.run(client, table, write_disposition=disposition)
        assert len(rows_of(client, table)) == count

    def test_it_must_be_empty_otherwise(self, client: bigquery.Client, dataset: str) -> None:
        table = f"{PROJECT}.{dataset}.out"
        self.run(client, table)
        with pytest.raises(Conflict):
            self.run(client, table)
        assert len(rows_of(client, table)) == 1

    def test_it_needs_its_dataset(self, client: bigquery.Client) -> None:
        with pytest.raises(NotFound):
            self.run(client, f"{PROJECT}.nowhere.out")


class TestLoads:
    def test_json_rows_with_a_schema(self, client: bigquery.Client, table: str) -> None:
        config = bigquery.LoadJobConfig(schema=SCHEMA)
        job = client.load_table_from_json([SENT, {"id": 2}], table, job_config=config)
        assert job.result().output_rows == 2
        assert rows_of(client, table) == [KEPT, NULLS]

    def test_a_table_that_was_made_without_a_schema(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        client.create_table(f"{PROJECT}.{dataset}.bare")
        config = bigquery.LoadJobConfig(schema=SCHEMA[:1])
        client.load_table_from_json([{"id": 1}], f"{dataset}.bare", job_config=config).result()
        assert rows_of(client, f"{dataset}.bare") == [{"id": 1}]

    def test_json_rows_whose_schema_is_detected(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        rows = [{"a": 1, "b": {"c": ["x"]}}, {"a": None, "b": None, "d": "2024-01-01"}]
        client.load_table_from_json(rows, f"{dataset}.detected").result()
        assert rows_of(client, f"{dataset}.detected") == [
            {"a": 1, "b": {"c": ["x"]}, "d": None},
            {"a": None, "b": None, "d": date(2024, 1, 1)},
        ]

    def test_a_csv_file(self, client: bigquery.Client, dataset: str) -> None:
        content = io.BytesIO(b'id,name\n1,"a, b"\n2,\n')
        config = bigquery.LoadJobConfig(source_format="CSV", autodetect=True)
        client.load_table_from_file(content, f"{dataset}.csv", job_config=config).result()
        assert rows_of(client, f"{dataset}.csv") == [
            {"id": 1, "name": "a, b"},
            {"id": 2, "name": ""},
        ]

    def test_a_parquet_file_by_resumable_upload(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        content = io.BytesIO()
        values = {"n": list(range(200_000)), "l": [[number] for number in range(200_000)]}
        pq.write_table(pa.table(values), content, compression="none")
        assert content.tell() > 1_000_000
        content.seek(0)
        config = bigquery.LoadJobConfig(source_format="PARQUET")
        # Without a size the client can't know that one request would do.
        job = client.load_table_from_file(
            content, f"{dataset}.parquet", job_config=config, job_id=f"job_{dataset}"
        )
        assert job.result().output_rows == 200_000
        assert client.get_job(f"job_{dataset}").output_rows == 200_000
        query = f"SELECT SUM(n) AS total, SUM(l[OFFSET(0)]) AS listed FROM {dataset}.parquet"  # noqa: S608
        (row,) = client.query_and_wait(query)
        assert dict(row) == {"total": sum(values["n"]), "listed": sum(values["n"])}

    def test_objects_by_pattern(
        self, client: bigquery.Client, dataset: str, bucket: storage.Bucket
    ) -> None:
        for number in range(3):
            bucket.blob(f"in/part-{number}.json").upload_from_string(f'{{"id": {number}}}\n')
        bucket.blob("in/other.csv").upload_from_string("no json")
        config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA[:1])
        uri = f"gs://{bucket.name}/in/*.json"
        client.load_table_from_uri(uri, f"{dataset}.out", job_config=config).result()
        assert sorted(row["id"] for row in rows_of(client, f"{dataset}.out")) == [0, 1, 2]

    def test_a_bad_file_leaves_the_table_as_it_was(
        self, client: bigquery.Client, table: str, bucket: storage.Bucket
    ) -> None:
        client.insert_rows_json(table, [{"id": 7}])
        bucket.blob("1.json").upload_from_string('{"id": 1}\n')
        bucket.blob("2.json").upload_from_string('{"id": 2, "unknown": 3}\n')
        config = bigquery.LoadJobConfig(
            source_format="NEWLINE_DELIMITED_JSON", write_disposition="WRITE_TRUNCATE"
        )
        uris = [f"gs://{bucket.name}/{number}.json" for number in (1, 2)]
        job = client.load_table_from_uri(uris, table, job_config=config)
        with pytest.raises(BadRequest, match="no such field: unknown"):
            job.result()
        assert [row["id"] for row in rows_of(client, table)] == [7]

    def test_a_missing_object_fails_the_job(
        self, client: bigquery.Client, table: str, bucket: storage.Bucket
    ) -> None:
        config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
        job = client.load_table_from_uri(f"gs://{bucket.name}/no", table, job_config=config)
        with pytest.raises(NotFound):
            job.result(retry=None)

    @pytest.mark.parametrize("uri", ["file:///etc/hostname", "/etc/hostname"])
    def test_files_of_the_machine_are_refused(
        self, client: bigquery.Client, table: str, uri: str
    ) -> None:
        config = bigquery.LoadJobConfig(source_format="CSV")
        with pytest.raises(BadRequest):
            client.load_table_from_uri(uri, table, job_config=config).result()

    def test_a_job_id_is_taken_once(self, client: bigquery.Client, dataset: str) -> None:
        job_id = f"job_{dataset}"
        client.query("SELECT 1 AS one", job_id=job_id, job_retry=None).result()
        with pytest.raises(Conflict):
            client.load_table_from_json([{"a": 1}], f"{dataset}.out", job_id=job_id)


def test_sql_reads_no_file_of_the_machine(client: bigquery.Client) -> None:
    with pytest.raises(Exception, match=r"disabled|denied|[Nn]ot"):
        client.query("SELECT * FROM read_csv('/etc/passwd')").result(retry=None)


def test_extract_and_load_again(
    client: bigquery.Client, table: str, bucket: storage.Bucket
) -> None:
    client.insert_rows_json(table, [SENT, {"id": 2}])
    for file_format in ("AVRO", "NEWLINE_DELIMITED_JSON", "PARQUET"):
        uri = f"gs://{bucket.name}/{file_format}-*"
        client.extract_table(
            table,
            uri,
            job_config=bigquery.ExtractJobConfig(
                destination_format=file_format, use_avro_logical_types=True
            ),
        ).result()
        config = bigquery.LoadJobConfig(
            source_format=file_format, schema=SCHEMA, use_avro_logical_types=True
        )
        copy = f"{table}_{file_format}"
        client.load_table_from_uri(uri, copy, job_config=config).result()
        assert rows_of(client, copy) == [KEPT, NULLS], file_format


def test_copying_several_tables(client: bigquery.Client, dataset: str) -> None:
    sources = [f"{PROJECT}.{dataset}.source_{number}" for number in range(3)]
    for number, source in enumerate(sources):
        client.load_table_from_json([{"id": number}], source).result()
    client.copy_table(sources, f"{PROJECT}.{dataset}.all").result()
    assert sorted(row["id"] for row in rows_of(client, f"{dataset}.all")) == [0, 1, 2]
    with pytest.raises(Conflict):
        client.copy_table(sources[0], f"{PROJECT}.{dataset}.all").result()
