"""Every standard type comes back as it went in, by whichever call it is written and read."""

import json
import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pytest
from google.cloud import bigquery, bigquery_storage

from .typed_rows import FILE_ROWS, FROM_AVRO, FROM_TEXT, ROWS, SCHEMA, Row, in_order, insert, listed

TIMEOUT = 60.0


def by_insert(client: bigquery.Client, table: str) -> None:
    insert(client, table)


def by_json_load(client: bigquery.Client, table: str) -> None:
    config = bigquery.LoadJobConfig(schema=SCHEMA)
    job = client.load_table_from_json(FILE_ROWS, table, job_config=config, timeout=TIMEOUT)
    job.result(timeout=TIMEOUT)


def by_create_table_as(client: bigquery.Client, table: str) -> None:
    insert(client, f"{table}_source")
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT * FROM `{table}_source`")  # noqa: S608


def by_insert_select(client: bigquery.Client, table: str) -> None:
    insert(client, f"{table}_source")
    client.create_table(bigquery.Table(table, SCHEMA))
    client.query_and_wait(f"INSERT INTO `{table}` SELECT * FROM `{table}_source`")  # noqa: S608


def by_query_destination(client: bigquery.Client, table: str) -> None:
    insert(client, f"{table}_source")
    config = bigquery.QueryJobConfig(destination=table)
    query = f"SELECT * FROM `{table}_source`"  # noqa: S608
    client.query(query, job_config=config).result(timeout=TIMEOUT)


def by_copy(client: bigquery.Client, table: str) -> None:
    insert(client, f"{table}_source")
    client.copy_table(f"{table}_source", table).result(timeout=TIMEOUT)


WRITES = [
    by_insert,
    by_json_load,
    by_create_table_as,
    by_insert_select,
    by_query_destination,
    by_copy,
]


@pytest.mark.parametrize("write", WRITES)
def test_rows_are_written_exactly(
    client: bigquery.Client, dataset: str, write: Callable[[bigquery.Client, str], None]
) -> None:
    table = f"{client.project}.{dataset}.types"
    write(client, table)
    assert listed(client, table) == ROWS
    assert by_storage_api_arrow(client, table) == ROWS
    assert client.get_table(table).num_rows == len(ROWS)


def test_a_table_keeps_the_schema_it_was_made_with(
    client: bigquery.Client, types_table: str
) -> None:
    def plain(fields: Any) -> list[Any]:
        return [(f.name, canonical(f.field_type), f.mode, plain(f.fields)) for f in fields]

    assert plain(client.get_table(types_table).schema) == plain(SCHEMA)


def canonical(name: str) -> str:
    """The name of a type as the REST API gives it."""
    legacy = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
    return legacy.get(name, name)


def by_list_rows(client: bigquery.Client, table: str) -> list[Row]:
    return listed(client, table)


def by_query(client: bigquery.Client, table: str) -> list[Row]:
    job = client.query(f"SELECT * FROM `{table}`", timeout=TIMEOUT)  # noqa: S608
    return in_order(job.result(timeout=TIMEOUT))


def by_query_without_a_job(client: bigquery.Client, table: str) -> list[Row]:
    return in_order(client.query_and_wait(f"SELECT * FROM `{table}`", wait_timeout=TIMEOUT))  # noqa: S608


def by_storage_api_arrow(client: bigquery.Client, table: str) -> list[Row]:
    fetched = client.list_rows(table).to_arrow(create_bqstorage_client=True, timeout=TIMEOUT)
    return in_order(fetched.to_pylist(), FROM_TEXT)


def by_storage_api_avro(client: bigquery.Client, table: str) -> list[Row]:
    project, dataset, name = table.split(".")
    reader = bigquery_storage.BigQueryReadClient()
    session = reader.create_read_session(
        parent=f"projects/{project}",
        read_session={
            "table": f"projects/{project}/datasets/{dataset}/tables/{name}",
            "data_format": bigquery_storage.DataFormat.AVRO,
        },
        max_stream_count=1,
        timeout=TIMEOUT,
    )
    schema = fastavro.parse_schema(json.loads(session.avro_schema.schema))
    rows = []
    for stream in session.streams:
        for response in reader.read_rows(stream.name, timeout=TIMEOUT):
            data = BytesIO(response.avro_rows.serialized_binary_rows)
            rows += [fastavro.schemaless_reader(data, schema) for _ in range(response.row_count)]
    return in_order(rows, FROM_AVRO)


def by_to_dataframe(client: bigquery.Client, table: str) -> list[Row]:
    frame = client.list_rows(table, timeout=TIMEOUT).to_dataframe()
    return in_order((of_frame(record) for record in frame.to_dict("records")), FROM_TEXT)


def by_query_to_dataframe(client: bigquery.Client, table: str) -> list[Row]:
    frame = client.query(f"SELECT * FROM `{table}`").to_dataframe()  # noqa: S608
    return in_order((of_frame(record) for record in frame.to_dict("records")), FROM_TEXT)


def of_frame(value: Any) -> Any:
    """A cell of a DataFrame, of which several stand for NULL."""
    if isinstance(value, dict):
        return {name: of_frame(held) for name, held in value.items()}
    if isinstance(value, np.ndarray):
        return [of_frame(item) for item in value]
    return None if pd.isna(value) else value


READS = [
    by_list_rows,
    by_query,
    by_query_without_a_job,
    by_storage_api_arrow,
    by_storage_api_avro,
    by_to_dataframe,
    by_query_to_dataframe,
]


@pytest.mark.parametrize("read", READS)
def test_rows_are_read_exactly(
    client: bigquery.Client, types_table: str, read: Callable[[bigquery.Client, str], list[Row]]
) -> None:
    assert read(client, types_table) == ROWS


def of_floats(rows: Any) -> list[str]:
    return [str(row["f"]) for row in rows]


def test_floats_that_are_no_numbers(client: bigquery.Client, dataset: str) -> None:
    table = f"{client.project}.{dataset}.floats"
    client.create_table(bigquery.Table(table, [bigquery.SchemaField("f", "FLOAT64")]))
    texts = ["NaN", "Infinity", "-Infinity"]
    assert client.insert_rows_json(table, [{"f": text} for text in texts]) == []
    found = ["nan", "inf", "-inf"]
    assert of_floats(client.list_rows(table)) == found
    assert of_floats(client.query_and_wait(f"SELECT f FROM `{table}`")) == found  # noqa: S608
    assert of_floats(client.list_rows(table).to_arrow().to_pylist()) == found


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_parameter_that_is_no_number(client: bigquery.Client, value: float) -> None:
    parameters = [bigquery.ScalarQueryParameter("f", "FLOAT64", value)]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    (row,) = client.query_and_wait("SELECT @f AS f", job_config=config)
    assert str(row["f"]) == str(value)
