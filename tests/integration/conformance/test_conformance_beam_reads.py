"""Unmodified Beam reads BigQuery: what is read, and what the clean-up leaves alone."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.bigquery import (
    ReadAllFromBigQuery,
    ReadFromBigQuery,
    ReadFromBigQueryRequest,
)
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.cloud import bigquery, storage

DIRECT = {"method": ReadFromBigQuery.Method.DIRECT_READ}
ARROW = {**DIRECT, "use_native_datetime": True}
EXPORT = {"method": ReadFromBigQuery.Method.EXPORT}
JSON = {**EXPORT, "use_json_exports": True}
METHODS = pytest.mark.parametrize(
    "method", [DIRECT, ARROW, EXPORT, JSON], ids=["avro", "arrow", "export", "export-json"]
)
COUNT = 300


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    """A table of COUNT rows."""
    name = f"{client.project}.{dataset}.source"
    rows = [{"id": number, "name": f"row {number}"} for number in range(COUNT)]
    client.load_table_from_json(rows, name).result(timeout=60)
    return name


def assert_reads(options: PipelineOptions, read: beam.PTransform, numbers: Any) -> None:
    with beam.Pipeline(options=options) as pipeline:
        found = pipeline | read | beam.Map(lambda row: row["id"])
        assert_that(found, equal_to(list(numbers)))


@pytest.mark.parametrize("method", [DIRECT, EXPORT], ids=["direct", "export"])
def test_a_query_without_rows(options: PipelineOptions, table: str, method: dict[str, Any]) -> None:
    query = f"SELECT id FROM `{table}` WHERE id < 0"  # noqa: S608
    assert_reads(options, ReadFromBigQuery(query=query, use_standard_sql=True, **method), [])


def test_a_direct_read_of_some_rows_and_columns(options: PipelineOptions, table: str) -> None:
    read = ReadFromBigQuery(
        table=table.replace(".", ":", 1),
        row_restriction="id < 10",
        selected_fields=["id"],
        **DIRECT,
    )
    with beam.Pipeline(options=options) as pipeline:
        assert_that(pipeline | read, equal_to([{"id": number} for number in range(10)]))


def test_reads_that_are_asked_for_by_elements(options: PipelineOptions, table: str) -> None:
    requests = [
        ReadFromBigQueryRequest(
            query=f"SELECT id FROM `{table}` WHERE id < 5",  # noqa: S608
            use_standard_sql=True,
        ),
        ReadFromBigQueryRequest(table=table.replace(".", ":", 1)),
    ]
    with beam.Pipeline(options=options) as pipeline:
        rows = pipeline | beam.Create(requests) | ReadAllFromBigQuery()
        numbers = rows | beam.Map(lambda row: row["id"])
        assert_that(numbers, equal_to([*range(5), *range(COUNT)]))


@pytest.fixture
def surroundings(client: bigquery.Client, dataset: str) -> Iterator[dict[str, set[str]]]:
    """Datasets around the one that is read, one of them named as Beam's temporary ones are."""
    made = [f"{dataset}_beside", f"beam_temp_dataset_{dataset}"]
    for name in made:
        client.create_dataset(name)
        client.create_table(bigquery.Table(f"{client.project}.{name}.kept"))
    yield contents(client, dataset)
    for name in made:
        client.delete_dataset(name, delete_contents=True, not_found_ok=True)


def contents(client: bigquery.Client, dataset: str) -> dict[str, set[str]]:
    """The tables of the datasets whose names contain this one's."""
    mine = [listed.dataset_id for listed in client.list_datasets() if dataset in listed.dataset_id]
    return {name: {table.table_id for table in client.list_tables(name)} for name in mine}


@METHODS
def test_a_query_is_read_and_what_is_the_users_stays(
    options: PipelineOptions,
    client: bigquery.Client,
    bucket: storage.Bucket,
    dataset: str,
    table: str,
    surroundings: dict[str, set[str]],
    method: dict[str, Any],
) -> None:
    bucket.blob("temp/mine").upload_from_string("kept")
    query = f"SELECT id FROM `{table}` WHERE id >= 100 ORDER BY id DESC"  # noqa: S608
    read = ReadFromBigQuery(query=query, use_standard_sql=True, **method)
    assert_reads(options, read, range(100, COUNT))
    assert contents(client, dataset) == {**surroundings, dataset: {"source"}}
    assert client.get_table(table).num_rows == COUNT
    assert [blob.name for blob in bucket.list_blobs()] == ["temp/mine"]
