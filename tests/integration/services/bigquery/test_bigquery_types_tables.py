"""Partitions of tables, schemas that change, and options of load jobs, with the real client."""

import io
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

PROJECT = "local-project"
TIMEOUT = 60
DAYS = [SchemaField("d", "DATE"), SchemaField("x", "INT64")]


def rows_of(client: bigquery.Client, table: str) -> list[Any]:
    return sorted(
        (tuple(row.values()) for row in client.list_rows(table, timeout=TIMEOUT)), key=str
    )


def load(client: bigquery.Client, table: str, rows: Any, **options: Any) -> bigquery.LoadJob:
    config = bigquery.LoadJobConfig(**options)
    job = client.load_table_from_json(rows, table, job_config=config, timeout=TIMEOUT)
    return job.result(timeout=TIMEOUT)


def load_csv(client: bigquery.Client, table: str, content: bytes, **options: Any) -> Any:
    config = bigquery.LoadJobConfig(**{"source_format": "CSV", **options})
    job = client.load_table_from_file(
        io.BytesIO(content), table, job_config=config, timeout=TIMEOUT
    )
    return job.result(timeout=TIMEOUT)


@pytest.fixture
def daily(client: bigquery.Client, dataset: str) -> str:
    name = f"{PROJECT}.{dataset}.daily"
    table = bigquery.Table(name, DAYS)
    table.time_partitioning = bigquery.TimePartitioning(type_="DAY", field="d")
    table.clustering_fields = ["x"]
    client.create_table(table, timeout=TIMEOUT)
    load(client, name, [{"d": "2024-01-31", "x": 1}, {"d": "2024-02-01", "x": 2}], schema=DAYS)
    return name


class TestPartitions:
    def test_a_load_replaces_one(self, client: bigquery.Client, daily: str) -> None:
        again = [{"d": "2024-01-31", "x": 5}]
        truncate = {"schema": DAYS, "write_disposition": "WRITE_TRUNCATE"}
        load(client, f"{daily}$20240131", again, **truncate)
        assert [x for _, x in rows_of(client, daily)] == [5, 2]
        assert [x for _, x in rows_of(client, f"{daily}$20240131")] == [5]
        assert client.get_table(f"{daily}$20240131").num_rows == 1
        with pytest.raises(BadRequest, match="destination partition 20240201"):
            load(client, f"{daily}$20240201", again, **truncate)

    def test_a_query_and_a_copy_write_to_one(self, client: bigquery.Client, daily: str) -> None:
        config = bigquery.QueryJobConfig(
            destination=f"{daily}$20240201", write_disposition="WRITE_TRUNCATE"
        )
        sql = "SELECT DATE '2024-02-01' AS d, 8 AS x"
        client.query(sql, job_config=config, timeout=TIMEOUT).result(timeout=TIMEOUT)
        assert [x for _, x in rows_of(client, daily)] == [1, 8]
        copied = f"{daily}_copy"
        client.copy_table(f"{daily}$20240201", copied, timeout=TIMEOUT).result(timeout=TIMEOUT)
        assert [x for _, x in rows_of(client, copied)] == [8]
        table = client.get_table(copied)
        assert table.time_partitioning == bigquery.TimePartitioning(type_="DAY", field="d")
        assert table.clustering_fields == ["x"]

    def test_rows_are_streamed_to_one(self, client: bigquery.Client, daily: str) -> None:
        row = {"d": "2024-02-01", "x": 7}
        assert client.insert_rows_json(f"{daily}$20240201", [row], timeout=TIMEOUT) == []
        assert [x for _, x in rows_of(client, f"{daily}$20240201")] == [2, 7]
        with pytest.raises(BadRequest, match="different partitions"):
            client.insert_rows_json(f"{daily}$20240131", [row], timeout=TIMEOUT, retry=None)

    def test_of_numbers_are_kept(self, client: bigquery.Client, dataset: str) -> None:
        name = f"{PROJECT}.{dataset}.numbered"
        by = bigquery.RangePartitioning(
            field="i", range_=bigquery.PartitionRange(start=0, end=100, interval=10)
        )
        numbers = [{"i": 5}, {"i": 15}]
        load(client, name, numbers, schema=[SchemaField("i", "INT64")], range_partitioning=by)
        assert client.get_table(name).range_partitioning == by
        assert rows_of(client, f"{name}$10") == [(15,)]

    def test_by_ingestion_time_have_no_decorator(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        by = bigquery.TimePartitioning(type_="DAY")
        schema = [SchemaField("i", "INT64")]
        name = f"{PROJECT}.{dataset}.ingested"
        load(client, name, [{"i": 1}], schema=schema, time_partitioning=by)
        assert client.get_table(name).time_partitioning == by
        with pytest.raises(MethodNotImplemented, match="ingestion time"):
            load(client, f"{name}$20240101", [{"i": 1}], schema=schema)


OLD = [
    SchemaField("a", "INT64", "REQUIRED"),
    SchemaField("s", "STRUCT", fields=[SchemaField("x", "INT64")]),
    SchemaField("l", "STRUCT", "REPEATED", fields=[SchemaField("x", "INT64")]),
]
NEW = [
    SchemaField("a", "INTEGER", "NULLABLE"),
    SchemaField("s", "RECORD", fields=[SchemaField("x", "INTEGER"), SchemaField("y", "JSON")]),
    SchemaField(
        "l", "RECORD", "REPEATED", fields=[SchemaField("x", "INTEGER"), SchemaField("z", "DATE")]
    ),
    SchemaField("n", "BIGNUMERIC", "REPEATED"),
]
ALL = ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"]


class TestSchemaUpdates:
    @pytest.fixture
    def table(self, client: bigquery.Client, dataset: str) -> str:
        name = f"{PROJECT}.{dataset}.changing"
        load(client, name, [{"a": 1, "s": {"x": 1}, "l": [{"x": 2}]}], schema=OLD)
        return name

    def test_a_load_adds_and_relaxes_fields(self, client: bigquery.Client, table: str) -> None:
        row = {"s": {"y": {"q": 1}}, "l": [{"z": "2024-01-01"}], "n": ["1e-38"]}
        load(client, table, [row], schema=NEW, schema_update_options=ALL)
        assert client.get_table(table).schema == NEW
        assert [values[0] for values in rows_of(client, table)] == [1, None]
        assert rows_of(client, table)[0][1:] == ({"x": 1, "y": None}, [{"x": 2, "z": None}], [])

    @pytest.mark.parametrize("allowed", [[], ["ALLOW_FIELD_ADDITION"], ["ALLOW_FIELD_RELAXATION"]])
    def test_a_load_without_the_options_is_refused(
        self, client: bigquery.Client, table: str, allowed: list[str]
    ) -> None:
        with pytest.raises(BadRequest, match="Provided Schema does not match"):
            load(client, table, [{}], schema=NEW, schema_update_options=allowed)
        assert len(client.get_table(table).schema) == len(OLD)

    def test_a_query_adds_fields(self, client: bigquery.Client, table: str) -> None:
        config = bigquery.QueryJobConfig(destination=table, write_disposition="WRITE_APPEND")
        sql = "SELECT 2 AS a, 'new' AS w"
        with pytest.raises(BadRequest, match="Cannot add fields"):
            client.query(sql, job_config=config, timeout=TIMEOUT).result(timeout=TIMEOUT)
        config.schema_update_options = ["ALLOW_FIELD_ADDITION"]
        client.query(sql, job_config=config, timeout=TIMEOUT).result(timeout=TIMEOUT)
        assert [(row[0], row[-1]) for row in rows_of(client, table)] == [(1, None), (2, "new")]

    def test_a_patch_keeps_the_rows(self, client: bigquery.Client, table: str) -> None:
        changed = client.get_table(table)
        changed.schema = NEW
        client.update_table(changed, ["schema"], timeout=TIMEOUT)
        assert [row[0] for row in rows_of(client, table)] == [1]
        assert client.insert_rows_json(table, [{"n": ["1"]}], timeout=TIMEOUT) == []
        changed.schema = NEW[:1]
        with pytest.raises(BadRequest, match="is missing in new schema"):
            client.update_table(changed, ["schema"], timeout=TIMEOUT)


class TestLoadOptions:
    def test_bad_records_are_counted(self, client: bigquery.Client, dataset: str) -> None:
        name = f"{PROJECT}.{dataset}.bad"
        schema = [SchemaField("x", "INT64")]
        job = load_csv(client, name, b"1\nx\n2\n", schema=schema, max_bad_records=1)
        assert rows_of(client, name) == [(1,), (2,)]
        # The client has no name of its own for it.
        assert job._properties["statistics"]["load"]["badRecords"] == "1"

    @pytest.mark.parametrize(
        ("content", "options", "rows"),
        [
            (b"\xe9\n", {"encoding": "ISO-8859-1"}, [("é",)]),
            ("é\n".encode("utf-16-le"), {"encoding": "UTF-16LE"}, [("é",)]),
            (b"NA\nnull\nx\n", {"null_markers": ["NA", "null"]}, [("x",), (None,), (None,)]),
            (b'"a\nb"\n', {"allow_quoted_newlines": True}, [("a\nb",)]),
        ],
    )
    def test_csv_is_read_as_told(
        self,
        client: bigquery.Client,
        dataset: str,
        content: bytes,
        options: dict[str, Any],
        rows: list[Any],
    ) -> None:
        name = f"{PROJECT}.{dataset}.csv"
        load_csv(client, name, content, schema=[SchemaField("s", "STRING")], **options)
        assert sorted(rows_of(client, name), key=str) == sorted(rows, key=str)

    def test_quoted_newlines_are_refused_unless_allowed(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        schema = [SchemaField("s", "STRING")]
        with pytest.raises(BadRequest, match="allowQuotedNewlines"):
            load_csv(client, f"{PROJECT}.{dataset}.csv", b'"a\nb"\n', schema=schema)

    def test_other_formats_and_options_are_refused(
        self, client: bigquery.Client, dataset: str
    ) -> None:
        name = f"{PROJECT}.{dataset}.no"
        hive = bigquery.HivePartitioningOptions()
        hive.mode = "AUTO"
        with pytest.raises(MethodNotImplemented, match="hivePartitioningOptions"):
            load_csv(client, name, b"1\n", autodetect=True, hive_partitioning=hive)
        with pytest.raises(MethodNotImplemented, match="ORC"):
            load_csv(client, name, b"ORC", autodetect=True, source_format="ORC")


def test_columns_keep_their_parameters(client: bigquery.Client, dataset: str) -> None:
    name = f"{PROJECT}.{dataset}.parameters"
    schema = [
        SchemaField("s", "STRING", max_length=3, description="short"),
        SchemaField("n", "NUMERIC", precision=5, scale=2),
    ]
    client.create_table(bigquery.Table(name, schema), timeout=TIMEOUT)
    assert client.get_table(name).schema == schema
    errors = client.insert_rows_json(name, [{"s": "long"}, {"n": "1000"}], timeout=TIMEOUT)
    assert [error["index"] for error in errors] == [0, 1]
    client.copy_table(name, f"{name}_copy", timeout=TIMEOUT).result(timeout=TIMEOUT)
    assert client.get_table(f"{name}_copy").schema == schema


def test_default_values_are_refused(client: bigquery.Client, dataset: str) -> None:
    column = SchemaField("s", "STRING", default_value_expression="'x'")
    table = bigquery.Table(f"{PROJECT}.{dataset}.defaults", [column])
    with pytest.raises(MethodNotImplemented, match="Default values"):
        client.create_table(table, timeout=TIMEOUT, retry=None)
