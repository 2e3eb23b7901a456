"""What the example's queries return, from the embedded BigQuery."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.cloud import bigquery

from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.natality.instance import from_row
from tf_dataflow_serving.natality.messages import Message, prediction_row
from tf_dataflow_serving.natality.queries import source_query, statistics_query
from tf_dataflow_serving.natality.schema import PREDICTION_SCHEMA, SAMPLES_TABLE
from tf_dataflow_serving.natality.validation import InvalidInstance, validate
from tf_dataflow_serving.services.stack import Stack

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def client(on_stack: Stack) -> bigquery.Client:
    return bigquery.Client(project=on_stack.endpoints.project)


@pytest.fixture
def table(client: bigquery.Client) -> Iterator[bigquery.Table]:
    dataset = client.create_dataset(f"stream_{uuid4().hex}", timeout=30)
    schema = [bigquery.SchemaField.from_api_repr(field) for field in PREDICTION_SCHEMA]
    yield client.create_table(bigquery.Table(dataset.table("estimates"), schema), timeout=30)
    client.delete_dataset(dataset, delete_contents=True, timeout=30)


def run(client: bigquery.Client, query: str) -> list[Mapping[str, Any]]:
    return [dict(row) for row in client.query_and_wait(query, wait_timeout=30)]


def test_source_query_leaves_to_the_validation_what_it_must(client: bigquery.Client) -> None:
    rows = run(client, source_query(SAMPLES_TABLE, 10_000))
    reasons = set()
    for row in rows:
        try:
            validate(from_row(row))
        except InvalidInstance as invalid:
            reasons.add(str(invalid))
    assert all(row["weight_pounds"] > 0 for row in rows)
    assert "gestation_weeks: 99 means unknown" in reasons
    assert reasons <= {"gestation_weeks: 99 means unknown", "mother_married: missing"}


def test_source_query_has_a_limit(client: bigquery.Client) -> None:
    assert len(run(client, source_query(SAMPLES_TABLE, 7))) == 7


def test_statistics_are_in_seconds_down_to_the_microsecond(
    client: bigquery.Client, table: bigquery.Table
) -> None:
    moments = [START + timedelta(seconds=second) for second in range(100)]
    written = [
        prediction_row(
            Message(second % 90, moment, birth),
            7.0,
            moment + timedelta(milliseconds=second, microseconds=1),
        )
        for second, (moment, birth) in enumerate(zip(moments, instances(100, 1), strict=True))
    ]
    assert client.insert_rows_json(table, written, timeout=30) == []
    (statistics,) = run(client, statistics_query(f"{table.dataset_id}.{table.table_id}"))
    # The service may take either neighbour for a percentile.
    assert statistics == {
        "row_count": 100,
        "distinct_row_count": 90,
        "total_seconds": pytest.approx(99.099001, abs=1e-9),
        "min_latency_seconds": pytest.approx(0.000001, abs=1e-9),
        "avg_latency_seconds": pytest.approx(0.049501, abs=1e-9),
        "max_latency_seconds": pytest.approx(0.099001, abs=1e-9),
        "p50_latency_seconds": pytest.approx(0.0495, abs=0.0011),
        "p99_latency_seconds": pytest.approx(0.0985, abs=0.0011),
    }


def test_statistics_of_nothing_are_null(client: bigquery.Client, table: bigquery.Table) -> None:
    (statistics,) = run(client, statistics_query(f"{table.dataset_id}.{table.table_id}"))
    assert (statistics.pop("row_count"), statistics.pop("distinct_row_count")) == (0, 0)
    assert set(statistics.values()) == {None}
