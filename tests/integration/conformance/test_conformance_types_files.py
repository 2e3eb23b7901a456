"""Every standard type through files: loaded, extracted, and loaded again."""

import csv
import json
from io import BytesIO, StringIO
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery, storage

from .typed_rows import (
    FROM_TEXT,
    HIGH,
    LOW,
    NOTHING,
    ROWS,
    SCALARS,
    SCHEMA,
    TO_JSON,
    Row,
    converted,
    in_order,
    listed,
)

TIMEOUT = 60.0
# Control characters and line breaks, of which CSV and its options have their own ideas, aside.
CSV_ROWS: list[Row] = [
    {"id": 1, **HIGH, "string": 'Zoë "quoted", 𝄞'},
    {"id": 2, **LOW},
    {"id": 3, **NOTHING},
]
CSV_SCHEMA = [SCHEMA[0], *SCALARS]
NULL = "\\N"


def extract(client: bigquery.Client, table: str, uri: str, file_format: str) -> None:
    config = bigquery.ExtractJobConfig(destination_format=file_format, use_avro_logical_types=True)
    client.extract_table(table, uri, job_config=config, timeout=TIMEOUT).result(timeout=TIMEOUT)


def load(
    client: bigquery.Client,
    uri: str,
    table: str,
    schema: list[bigquery.SchemaField],
    **options: Any,
) -> list[Row]:
    """Load objects into a new table and return its rows."""
    config = bigquery.LoadJobConfig(schema=schema, **options)
    job = client.load_table_from_uri(uri, table, job_config=config, timeout=TIMEOUT)
    job.result(timeout=TIMEOUT)
    return in_order(client.list_rows(table, timeout=TIMEOUT), schema=schema)


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    return f"{client.project}.{dataset}.loaded"


def list_inference() -> bigquery.ParquetOptions:
    """A list becomes a repeated field, not a record of `list` and `element`."""
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True
    return options


def test_json_is_extracted_and_loaded(
    client: bigquery.Client, types_table: str, table: str, bucket: storage.Bucket
) -> None:
    uri = f"gs://{bucket.name}/types-*.json"
    extract(client, types_table, uri, "NEWLINE_DELIMITED_JSON")
    assert load(client, uri, table, SCHEMA, source_format="NEWLINE_DELIMITED_JSON") == ROWS


def test_avro_is_extracted_and_loaded(
    client: bigquery.Client, types_table: str, table: str, bucket: storage.Bucket
) -> None:
    uri = f"gs://{bucket.name}/types-*.avro"
    extract(client, types_table, uri, "AVRO")
    rows = load(client, uri, table, SCHEMA, source_format="AVRO", use_avro_logical_types=True)
    assert rows == ROWS


def test_parquet_is_extracted_and_loaded(
    client: bigquery.Client, types_table: str, table: str, bucket: storage.Bucket
) -> None:
    uri = f"gs://{bucket.name}/types-*.parquet"
    extract(client, types_table, uri, "PARQUET")
    rows = load(
        client, uri, table, SCHEMA, source_format="PARQUET", parquet_options=list_inference()
    )
    assert rows == ROWS


def test_csv_is_extracted_and_loaded(
    client: bigquery.Client, dataset: str, table: str, bucket: storage.Bucket
) -> None:
    rows = CSV_ROWS[:2]
    source = f"{client.project}.{dataset}.scalars"
    client.create_table(bigquery.Table(source, CSV_SCHEMA))
    sent = [converted(values, CSV_SCHEMA, TO_JSON) for values in rows]
    assert client.insert_rows_json(source, sent) == []
    uri = f"gs://{bucket.name}/types-*.csv"
    extract(client, source, uri, "CSV")
    assert load(client, uri, table, CSV_SCHEMA, source_format="CSV", skip_leading_rows=1) == rows


def test_csv_of_ones_own_is_loaded(
    client: bigquery.Client, table: str, bucket: storage.Bucket
) -> None:
    text = StringIO()
    writer = csv.writer(text)
    for values in CSV_ROWS:
        cells = converted(values, CSV_SCHEMA, TO_JSON).values()
        writer.writerow([NULL if cell is None else cell for cell in cells])
    bucket.blob("own.csv").upload_from_string(text.getvalue())
    uri = f"gs://{bucket.name}/own.csv"
    assert load(client, uri, table, CSV_SCHEMA, source_format="CSV", null_marker=NULL) == CSV_ROWS


AVRO_TYPES: dict[str, Any] = {
    "INT64": "long",
    "FLOAT64": "double",
    "NUMERIC": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
    "BIGNUMERIC": {"type": "bytes", "logicalType": "decimal", "precision": 77, "scale": 38},
    "BOOL": "boolean",
    "STRING": "string",
    "BYTES": "bytes",
    "DATE": {"type": "int", "logicalType": "date"},
    "TIME": {"type": "long", "logicalType": "time-micros"},
    "DATETIME": {"type": "string", "sqlType": "DATETIME"},
    "TIMESTAMP": {"type": "long", "logicalType": "timestamp-micros"},
    "JSON": {"type": "string", "sqlType": "JSON"},
}


def avro_record(name: str, fields: Any) -> dict[str, Any]:
    written = [{"name": f.name, "type": avro_field(f"{name}_{f.name}", f)} for f in fields]
    return {"type": "record", "name": name, "fields": written}


def avro_field(name: str, field: bigquery.SchemaField) -> Any:
    single = avro_record(name, field.fields) if field.fields else AVRO_TYPES[field.field_type]
    if field.mode == "REPEATED":
        return {"type": "array", "items": single}
    return single if field.mode == "REQUIRED" else ["null", single]


def test_avro_of_ones_own_is_loaded(
    client: bigquery.Client, table: str, bucket: storage.Bucket
) -> None:
    # An Avro decimal of 77 digits holds all but the outermost values of BIGNUMERIC.
    to_avro = {"JSON": json.dumps, "DATETIME": lambda value: value.isoformat()}
    content = BytesIO()
    rows = [converted(values, SCHEMA, to_avro) for values in ROWS]
    fastavro.writer(content, avro_record("Root", SCHEMA), rows, codec="deflate")
    bucket.blob("own.avro").upload_from_string(content.getvalue())
    uri = f"gs://{bucket.name}/own.avro"
    found = load(client, uri, table, SCHEMA, source_format="AVRO", use_avro_logical_types=True)
    assert found == ROWS


def test_parquet_of_ones_own_is_loaded(
    client: bigquery.Client, types_table: str, table: str, bucket: storage.Bucket
) -> None:
    content = BytesIO()
    pq.write_table(client.list_rows(types_table).to_arrow(), content)
    bucket.blob("own.parquet").upload_from_string(content.getvalue())
    uri = f"gs://{bucket.name}/own.parquet"
    rows = load(
        client, uri, table, SCHEMA, source_format="PARQUET", parquet_options=list_inference()
    )
    assert rows == ROWS


@pytest.mark.parametrize("file_format", ["NEWLINE_DELIMITED_JSON", "AVRO"])
def test_floats_that_are_no_numbers_pass_through_files(
    client: bigquery.Client, dataset: str, table: str, bucket: storage.Bucket, file_format: str
) -> None:
    source = f"{client.project}.{dataset}.floats"
    schema = [bigquery.SchemaField("f", "FLOAT64")]
    client.create_table(bigquery.Table(source, schema))
    texts = ["NaN", "Infinity", "-Infinity"]
    assert client.insert_rows_json(source, [{"f": text} for text in texts]) == []
    uri = f"gs://{bucket.name}/floats-*"
    extract(client, source, uri, file_format)
    config = bigquery.LoadJobConfig(schema=schema, source_format=file_format)
    client.load_table_from_uri(uri, table, job_config=config).result(timeout=TIMEOUT)
    assert [str(row["f"]) for row in client.list_rows(table)] == ["nan", "inf", "-inf"]


def test_extracted_json_leaves_null_out(
    client: bigquery.Client, types_table: str, bucket: storage.Bucket
) -> None:
    extract(client, types_table, f"gs://{bucket.name}/types.json", "NEWLINE_DELIMITED_JSON")
    lines = bucket.blob("types.json").download_as_text().splitlines()
    (empty,) = (row for row in map(json.loads, lines) if int(row["id"]) == 3)
    assert [value for value in empty.values() if value is None] == []


def test_extracted_parquet_has_columns_of_these_types(
    client: bigquery.Client, types_table: str, bucket: storage.Bucket
) -> None:
    extract(client, types_table, f"gs://{bucket.name}/types.parquet", "PARQUET")
    found = pq.read_table(BytesIO(bucket.blob("types.parquet").download_as_bytes()))
    assert in_order(found.to_pylist(), FROM_TEXT) == ROWS == listed(client, types_table)


JSON_VALUES = ['{"a": 1}', "text", "", {"a": [1, None]}, [], 1.5, True]


def test_a_json_file_holds_json_values_and_not_their_text(
    client: bigquery.Client, table: str, bucket: storage.Bucket
) -> None:
    """A string is a JSON string ("Loading JSON data", Limitations: "the raw JSON values")."""
    schema = [SCHEMA[0], bigquery.SchemaField("json", "JSON")]
    rows = [{"id": number, "json": value} for number, value in enumerate(JSON_VALUES)]
    bucket.blob("own.json").upload_from_string("\n".join(json.dumps(values) for values in rows))
    json_format = "NEWLINE_DELIMITED_JSON"
    uri = f"gs://{bucket.name}/own.json"
    assert load(client, uri, table, schema, source_format=json_format) == rows
    again = f"gs://{bucket.name}/again.json"
    extract(client, table, again, json_format)
    assert load(client, again, f"{table}_again", schema, source_format=json_format) == rows
