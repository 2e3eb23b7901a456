"""Beam makes and removes temporary datasets, tables and objects; the user's stay as they are."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import apache_beam as beam
import pytest
from apache_beam.io.gcp.bigquery import ReadFromBigQuery, WriteToBigQuery
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud import bigquery, storage

PROJECT = "local-project"
SCHEMA = [bigquery.SchemaField("id", "INTEGER")]
# As Beam calls its own: apache_beam.io.gcp.bigquery_tools, BEAM_TEMP_DATASET and so on.
TABLES = ("source", "beam_temp_table_mine", "beam_bq_job_LOAD_mine")
LABELS: tuple[dict[str, str], ...] = ({}, {"owner": "me"}, {"type": "bq_direct_read_mine"})
ADDED = tuple(range(1_000, 1_100))
OBJECTS = ("mine", "temp/mine", "temp/bq_load/mine", "temp/bigquery-table-dump-0.avro")


@pytest.fixture
def datasets(client: bigquery.Client, bucket: storage.Bucket) -> Iterator[list[str]]:
    """The user's datasets, with tables and a view in each, beside the objects in the bucket."""
    names = [f"{prefix}_{uuid4().hex[:12]}" for prefix in ("beam_temp_dataset", "mine", "temp")]
    for name, labels in zip(names, LABELS, strict=True):
        made = bigquery.Dataset(f"{PROJECT}.{name}")
        made.labels = labels
        client.create_dataset(made)
        for table in TABLES:
            client.create_table(bigquery.Table(f"{PROJECT}.{name}.{table}", SCHEMA))
            assert client.insert_rows_json(f"{name}.{table}", [{"id": 1}, {"id": 2}]) == []
        client.query(f"CREATE VIEW {name}.seen AS SELECT id FROM {name}.source").result()  # noqa: S608
    for name in OBJECTS:
        bucket.blob(name).upload_from_string(f"content of {name}")
    yield names
    for name in names:
        client.delete_dataset(name, delete_contents=True)


def everything(
    client: bigquery.Client, bucket: storage.Bucket, datasets: list[str]
) -> dict[str, Any]:
    """Every dataset of these that is there, with its tables and their rows; every object."""
    found: dict[str, Any] = {}
    for dataset in client.list_datasets():
        if dataset.dataset_id not in datasets:
            continue
        found[dataset.dataset_id] = dataset.labels
        for table in client.list_tables(dataset.dataset_id):
            query = f"SELECT id FROM {dataset.dataset_id}.{table.table_id} ORDER BY id"  # noqa: S608
            name = f"{dataset.dataset_id}.{table.table_id}"
            made = client.get_table(name).created
            found[name] = (table.table_type, made, [row["id"] for row in client.query(query)])
    for blob in bucket.list_blobs():
        found[f"gs://{blob.name}"] = (blob.generation, blob.download_as_bytes())
    return found


def read(pipeline: beam.Pipeline, **source: Any) -> None:
    _ = pipeline | ReadFromBigQuery(**source)


def write(pipeline: beam.Pipeline, table: str, disposition: str) -> None:
    rows = pipeline | beam.Create([{"id": number} for number in ADDED])
    _ = rows | WriteToBigQuery(
        f"{PROJECT}:{table}",
        schema="id:INTEGER",
        method="FILE_LOADS",
        write_disposition=disposition,
        # So many files become several temporary tables, which are copied.
        max_file_size=100,
        max_partition_size=500,
    )


def by_table(dataset: str) -> dict[str, Any]:
    return {"table": f"{PROJECT}:{dataset}.source"}


def by_query(dataset: str) -> dict[str, Any]:
    query = f"SELECT id FROM `{PROJECT}.{dataset}.source`"  # noqa: S608
    return {"query": query, "use_standard_sql": True}


@pytest.mark.parametrize("method", ["DIRECT_READ", "EXPORT"])
@pytest.mark.parametrize("source", [by_table, by_query])
def test_reading_leaves_everything(
    client: bigquery.Client,
    bucket: storage.Bucket,
    datasets: list[str],
    source: Callable[[str], dict[str, Any]],
    method: str,
) -> None:
    before = everything(client, bucket, datasets)
    with beam.Pipeline(options=options_of(bucket)) as pipeline:
        read(pipeline, method=method, **source(datasets[0]))
    after = everything(client, bucket, datasets)
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("disposition", ["WRITE_APPEND", "WRITE_TRUNCATE"])
def test_loading_changes_its_target_alone(
    client: bigquery.Client, bucket: storage.Bucket, datasets: list[str], disposition: str
) -> None:
    before = everything(client, bucket, datasets)
    target = f"{datasets[0]}.source"
    with beam.Pipeline(options=options_of(bucket)) as pipeline:
        write(pipeline, target, disposition)
    after = everything(client, bucket, datasets)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {target, f"{datasets[0]}.seen"}
    kept = [1, 2] if disposition == "WRITE_APPEND" else []
    assert after[target][2] == [*kept, *ADDED]


def test_expiration_times_that_were_asked_for_delete_nothing_early(
    client: bigquery.Client, dataset: str
) -> None:
    made = bigquery.Dataset(f"{PROJECT}.{dataset}")
    made.default_table_expiration_ms = 3_600_000
    client.update_dataset(made, ["default_table_expiration_ms"])
    assert client.get_dataset(dataset).default_table_expiration_ms == 3_600_000
    client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.kept", SCHEMA))
    client.load_table_from_json([{"id": 1}], f"{dataset}.kept").result()
    assert [row["id"] for row in client.list_rows(f"{dataset}.kept")] == [1]


def options_of(bucket: storage.Bucket) -> PipelineOptions:
    temp = f"gs://{bucket.name}/temp"
    return PipelineOptions([], runner="FnApiRunner", project=PROJECT, temp_location=temp)
