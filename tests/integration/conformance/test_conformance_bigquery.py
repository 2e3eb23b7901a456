"""google-cloud-bigquery: datasets, tables, rows, queries, jobs."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery, bigquery_storage

TIMEOUT = 60.0
SCHEMA = [
    bigquery.SchemaField("id", "INTEGER", "REQUIRED"),
    bigquery.SchemaField("name", "STRING"),
    bigquery.SchemaField("tags", "STRING", "REPEATED"),
]


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    """An empty table."""
    name = f"{client.project}.{dataset}.rows"
    client.create_table(bigquery.Table(name, SCHEMA))
    return name


def ids(client: bigquery.Client, table: str) -> list[int]:
    return sorted(row["id"] for row in client.list_rows(table, timeout=TIMEOUT))


def ask(client: bigquery.Client, query: str, **config: Any) -> list[dict[str, Any]]:
    job = client.query(query, job_config=bigquery.QueryJobConfig(**config), timeout=TIMEOUT)
    return [dict(row) for row in job.result(timeout=TIMEOUT)]


class TestDatasets:
    def test_they_are_created_listed_and_deleted(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        assert client.get_dataset(dataset).dataset_id == dataset
        assert dataset in {listed.dataset_id for listed in client.list_datasets()}
        client.delete_dataset(dataset)
        with pytest.raises(NotFound):
            client.get_dataset(dataset)

    def test_a_name_is_taken_once(self, client: bigquery.Client, dataset: str) -> None:
        with pytest.raises(Conflict):
            client.create_dataset(dataset)
        assert client.create_dataset(dataset, exists_ok=True).dataset_id == dataset

    @pytest.fixture
    def labelled(self, client: bigquery.Client, dataset: str) -> Iterator[str]:
        made = bigquery.Dataset(f"{client.project}.{dataset}_labelled")
        made.labels = {"owner": dataset}
        client.create_dataset(made)
        yield made.dataset_id
        client.delete_dataset(made, not_found_ok=True)

    def test_a_label_filter_lists_no_other_one(
        self, client: bigquery.Client, dataset: str, labelled: str
    ) -> None:
        found = client.list_datasets(filter=f"labels.owner:{dataset}")
        assert [listed.dataset_id for listed in found] == [labelled]
        assert not list(client.list_datasets(filter="labels.owner:nobody-has-this"))

    def test_one_with_tables_is_not_deleted(self, client: bigquery.Client, table: str) -> None:
        with pytest.raises(BadRequest, match="in use"):
            client.delete_dataset(table.split(".")[1], not_found_ok=True)
        assert client.get_table(table).num_rows == 0

    def test_deleting_one_leaves_the_others(
        self, client: bigquery.Client, table: str, labelled: str
    ) -> None:
        client.delete_dataset(labelled, delete_contents=True)
        assert client.get_table(table).table_id == "rows"


class TestTables:
    def test_they_need_their_dataset(self, client: bigquery.Client) -> None:
        with pytest.raises(NotFound):
            client.create_table(f"{client.project}.nowhere.table", retry=None)

    def test_a_name_is_taken_once(self, client: bigquery.Client, table: str) -> None:
        with pytest.raises(Conflict):
            client.create_table(bigquery.Table(table, SCHEMA))

    def test_they_are_listed_in_pages(self, client: bigquery.Client, dataset: str) -> None:
        names = {f"table_{number}" for number in range(5)}
        for name in names:
            client.create_table(bigquery.Table(f"{client.project}.{dataset}.{name}", SCHEMA))
        pages = [list(page) for page in client.list_tables(dataset, page_size=2).pages]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert {listed.table_id for page in pages for listed in page} == names

    def test_columns_descriptions_and_labels_are_updated(
        self, client: bigquery.Client, table: str
    ) -> None:
        client.insert_rows_json(table, [{"id": 1}])
        found = client.get_table(table)
        found.schema = [*found.schema, bigquery.SchemaField("added", "FLOAT")]
        found.description = "what it holds"
        found.labels = {"team": "a"}
        client.update_table(found, ["schema", "description", "labels"])
        again = client.get_table(table)
        assert [field.name for field in again.schema] == ["id", "name", "tags", "added"]
        assert (again.description, again.labels) == ("what it holds", {"team": "a"})
        assert [row["added"] for row in client.list_rows(table)] == [None]

    def test_a_view_follows_its_table(
        self, client: bigquery.Client, dataset: str, table: str
    ) -> None:
        view = bigquery.Table(f"{client.project}.{dataset}.view")
        view.view_query = f"SELECT id * 2 AS twice FROM `{table}`"  # noqa: S608
        client.create_table(view)
        assert client.get_table(view).table_type == "VIEW"
        client.insert_rows_json(table, [{"id": 21}])
        assert ask(client, f"SELECT * FROM `{dataset}.view`") == [{"twice": 42}]  # noqa: S608

    def test_a_deleted_one_is_gone(self, client: bigquery.Client, table: str) -> None:
        client.delete_table(table)
        with pytest.raises(NotFound):
            client.get_table(table)
        with pytest.raises(NotFound):
            client.delete_table(table)
        client.delete_table(table, not_found_ok=True)


class TestListRows:
    @pytest.fixture
    def hundred(self, client: bigquery.Client, table: str) -> str:
        rows = [{"id": number, "name": str(number)} for number in range(100)]
        client.load_table_from_json(
            rows, table, job_config=bigquery.LoadJobConfig(schema=SCHEMA)
        ).result(timeout=TIMEOUT)
        return table

    def test_by_page_limit_and_start(self, client: bigquery.Client, hundred: str) -> None:
        pages = [list(page) for page in client.list_rows(hundred, page_size=30).pages]
        assert [len(page) for page in pages] == [30, 30, 30, 10]
        everything = [row["id"] for page in pages for row in page]
        assert sorted(everything) == list(range(100))
        rest = client.list_rows(hundred, start_index=95, page_size=2)
        assert [row["id"] for row in rest] == everything[95:]
        assert len(list(client.list_rows(hundred, max_results=7))) == 7
        assert client.list_rows(hundred).to_arrow().num_rows == 100

    def test_by_column(self, client: bigquery.Client, hundred: str) -> None:
        found = client.list_rows(hundred, selected_fields=SCHEMA[1:2], max_results=1)
        assert [list(row.keys()) for row in found] == [["name"]]

    def test_a_missing_table(self, client: bigquery.Client, dataset: str) -> None:
        with pytest.raises(NotFound):
            list(client.list_rows(f"{dataset}.missing", selected_fields=SCHEMA, timeout=TIMEOUT))


class TestInsertedRows:
    def test_they_are_there_at_once(self, client: bigquery.Client, table: str) -> None:
        assert client.insert_rows_json(table, [{"id": 1}, {"id": 2, "tags": ["x"]}]) == []
        assert [dict(row) for row in client.list_rows(table)] == [
            {"id": 1, "name": None, "tags": []},
            {"id": 2, "name": None, "tags": ["x"]},
        ]
        assert ask(client, f"SELECT COUNT(*) AS n FROM `{table}`") == [{"n": 2}]  # noqa: S608

    def test_an_insert_id_inserts_once(self, client: bigquery.Client, table: str) -> None:
        for _ in range(2):
            assert client.insert_rows_json(table, [{"id": 1}, {"id": 2}], row_ids=["a", "b"]) == []
        assert client.insert_rows_json(table, [{"id": 1}], row_ids=[None]) == []
        assert ids(client, table) == [1, 1, 2]

    def test_a_table_made_anew_takes_known_insert_ids(
        self, client: bigquery.Client, table: str
    ) -> None:
        for _ in range(2):
            client.delete_table(table)
            client.create_table(bigquery.Table(table, SCHEMA))
            assert client.insert_rows_json(table, [{"id": 1}], row_ids=["a"]) == []
            assert ids(client, table) == [1]

    def test_a_bad_row_stops_its_request(self, client: bigquery.Client, table: str) -> None:
        errors = client.insert_rows_json(table, [{"id": 1}, {"id": "x"}, {"id": 3, "no": 1}])
        reasons = [(error["index"], error["errors"][0]["reason"]) for error in errors]
        assert reasons == [(0, "stopped"), (1, "invalid"), (2, "invalid")]
        assert ids(client, table) == []

    def test_bad_rows_are_skipped_on_demand(self, client: bigquery.Client, table: str) -> None:
        rows = [{"id": 1}, {"id": "x"}, {"id": 3, "no": 1}, {"name": "no id"}]
        errors = client.insert_rows_json(
            table, rows, skip_invalid_rows=True, ignore_unknown_values=True
        )
        assert [error["index"] for error in errors] == [1, 3]
        assert ids(client, table) == [1, 3]

    def test_a_missing_table(self, client: bigquery.Client, dataset: str) -> None:
        with pytest.raises(NotFound):
            client.insert_rows_json(f"{dataset}.missing", [{"id": 1}], retry=None)


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "failure", "reason"),
        [
            ("SELECT * FROM nowhere.nothing", NotFound, "nowhere"),
            ("SELEC 1", BadRequest, "."),
            ("SELECT 1 / 0 / no_column", BadRequest, "no_column"),
        ],
    )
    def test_they_fail_with_their_reason(
        self, client: bigquery.Client, query: str, failure: type[Exception], reason: str
    ) -> None:
        with pytest.raises(failure, match=reason):
            client.query(query, job_retry=None).result(retry=None, job_retry=None)
        with pytest.raises(failure, match=reason):
            client.query_and_wait(query, retry=None, job_retry=None)

    def test_a_dry_run_answers_no_row(self, client: bigquery.Client, table: str) -> None:
        config = bigquery.QueryJobConfig(dry_run=True)
        job = client.query(f"DELETE FROM `{table}` WHERE TRUE", job_config=config)  # noqa: S608
        assert (job.dry_run, job.state) == (True, "DONE")

    def test_results_come_in_pages(self, client: bigquery.Client) -> None:
        query = "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 25)) AS n ORDER BY n"
        pages = [list(page) for page in client.query(query).result(page_size=10).pages]
        assert [len(page) for page in pages] == [10, 10, 5]
        assert [row["n"] for page in pages for row in page] == list(range(1, 26))

    def test_a_large_result_by_arrow_through_the_storage_api(self, client: bigquery.Client) -> None:
        query = "SELECT n, CAST(n AS STRING) AS s FROM UNNEST(GENERATE_ARRAY(1, 120000)) AS n"
        job = client.query(query)
        reader = bigquery_storage.BigQueryReadClient()
        assert job.result().to_arrow(bqstorage_client=reader).num_rows == 120_000
        destination = job.destination
        session = reader.create_read_session(
            parent=f"projects/{client.project}",
            read_session={
                "table": destination.path.removeprefix("/"),
                "data_format": bigquery_storage.DataFormat.ARROW,
            },
            max_stream_count=4,
        )
        streamed = [reader.read_rows(stream.name).to_arrow(session) for stream in session.streams]
        numbers = pa.concat_tables(streamed)["n"].to_pylist()
        assert sorted(numbers) == list(range(1, 120_001))

    def test_to_dataframe(self, client: bigquery.Client, table: str) -> None:
        client.insert_rows_json(table, [{"id": 1, "name": "a"}, {"id": 2}])
        frame = client.query(f"SELECT * FROM `{table}` ORDER BY id").to_dataframe()  # noqa: S608
        assert frame["id"].tolist() == [1, 2]
        assert frame["name"].isna().tolist() == [False, True]

    def test_dml_says_how_many_rows_it_changed(self, client: bigquery.Client, table: str) -> None:
        changed = []
        for statement in (
            "INSERT INTO {} (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "UPDATE {} SET name = 'x' WHERE id > 1",
            "DELETE FROM {} WHERE id = 1",
            "MERGE {} AS t USING (SELECT 3 AS id UNION ALL SELECT 4) AS s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET name = 'm' "
            "WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, 'n')",
        ):
            job = client.query(statement.format(f"`{table}`"))
            job.result(timeout=TIMEOUT)
            changed.append(job.num_dml_affected_rows)
        assert changed == [3, 2, 1, 2]
        query = f"SELECT id, name FROM `{table}` ORDER BY id"  # noqa: S608
        found = [(row["id"], row["name"]) for row in ask(client, query)]
        assert found == [(2, "x"), (3, "m"), (4, "n")]
        assert client.get_table(table).num_rows == 3

    def test_ddl(self, client: bigquery.Client, dataset: str) -> None:
        table = f"`{client.project}.{dataset}.made`"
        ask(client, f"CREATE TABLE {table} (id INT64 NOT NULL, place STRUCT<city STRING>)")
        ask(client, f"ALTER TABLE {table} ADD COLUMN day DATE")
        fields = client.get_table(f"{dataset}.made").schema
        assert [(field.name, field.mode) for field in fields] == [
            ("id", "REQUIRED"),
            ("place", "NULLABLE"),
            ("day", "NULLABLE"),
        ]
        ask(client, f"DROP TABLE {table}")
        with pytest.raises(NotFound):
            client.get_table(f"{dataset}.made")


class TestQueryDestination:
    QUERY = "SELECT 1 AS id, [1, 2] AS numbers, STRUCT('x' AS key) AS place"

    def run(self, client: bigquery.Client, table: str, **config: Any) -> bigquery.QueryJob:
        job = client.query(
            self.QUERY, job_config=bigquery.QueryJobConfig(destination=table, **config)
        )
        job.result(timeout=TIMEOUT, job_retry=None)
        return job

    @pytest.fixture
    def out(self, client: bigquery.Client, dataset: str) -> str:
        return f"{client.project}.{dataset}.out"

    def test_it_gets_the_rows_and_their_schema(self, client: bigquery.Client, out: str) -> None:
        job = self.run(client, out)
        found = [dict(row) for row in client.list_rows(out)]
        assert found == [{"id": 1, "numbers": [1, 2], "place": {"key": "x"}}]
        fields = client.get_table(out).schema
        assert {field.name: (field.field_type, field.mode) for field in fields} == {
            "id": ("INTEGER", "NULLABLE"),
            "numbers": ("INTEGER", "REPEATED"),
            "place": ("RECORD", "NULLABLE"),
        }
        assert client.get_job(job.job_id).destination.table_id == "out"

    @pytest.mark.parametrize(("disposition", "count"), [("WRITE_APPEND", 2), ("WRITE_TRUNCATE", 1)])
    def test_it_is_appended_to_or_replaced(
        self, client: bigquery.Client, out: str, disposition: str, count: int
    ) -> None:
        for _ in range(2):
            self.run(client, out, write_disposition=disposition)
        assert len(ids(client, out)) == count

    def test_it_must_be_empty_otherwise(self, client: bigquery.Client, out: str) -> None:
        self.run(client, out)
        with pytest.raises(Conflict):
            self.run(client, out)
        with pytest.raises(Conflict):
            self.run(client, out, write_disposition="WRITE_EMPTY")
        assert len(ids(client, out)) == 1

    def test_it_is_made_only_if_that_is_wanted(self, client: bigquery.Client, out: str) -> None:
        with pytest.raises(NotFound):
            self.run(client, out, create_disposition="CREATE_NEVER")

    def test_it_needs_its_dataset(self, client: bigquery.Client) -> None:
        with pytest.raises(NotFound):
            self.run(client, f"{client.project}.nowhere.out")


class TestJobs:
    def test_an_id_is_taken_once(self, client: bigquery.Client, dataset: str) -> None:
        job_id = f"job_{dataset}"
        client.query("SELECT 1 AS one", job_id=job_id, job_retry=None).result()
        with pytest.raises(Conflict):
            client.load_table_from_json([{"a": 1}], f"{dataset}.out", job_id=job_id)

    def test_they_are_found_and_listed(self, client: bigquery.Client, dataset: str) -> None:
        job_id = f"job_{dataset}"
        client.query("SELECT 1 AS one", job_id=job_id, job_retry=None).result()
        found = client.get_job(job_id)
        assert (found.job_type, found.state, found.error_result) == ("query", "DONE", None)
        assert [dict(row) for row in found.result()] == [{"one": 1}]
        assert job_id in {job.job_id for job in client.list_jobs(max_results=500)}

    def test_a_missing_one(self, client: bigquery.Client, dataset: str) -> None:
        with pytest.raises(NotFound):
            client.get_job(f"job_{dataset}")


def test_copying_several_tables(client: bigquery.Client, dataset: str) -> None:
    sources = [f"{client.project}.{dataset}.source_{number}" for number in range(3)]
    for number, source in enumerate(sources):
        client.load_table_from_json([{"id": number}], source).result(timeout=TIMEOUT)
    target = f"{client.project}.{dataset}.all"
    client.copy_table(sources, target).result(timeout=TIMEOUT)
    assert ids(client, target) == [0, 1, 2]
    with pytest.raises(Conflict):
        client.copy_table(sources[0], target).result(timeout=TIMEOUT)
    for disposition, expected in (("WRITE_APPEND", [0, 0, 1, 2]), ("WRITE_TRUNCATE", [0])):
        config = bigquery.CopyJobConfig(write_disposition=disposition)
        client.copy_table(sources[0], target, job_config=config).result(timeout=TIMEOUT)
        assert ids(client, target) == expected
