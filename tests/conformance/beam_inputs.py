"""Makes what Beam's integration tests read of Google's and Beam's own public projects.

Where a test compares what it reads, that is what is made; where it counts, it is as many.
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.io.gcp import bigquery_io_read_it_test, bigquery_json_it_test
from google.cloud import bigquery, storage

OWN_BUCKET = "beam-integration-tests"
BEAM_PROJECT = "apache-beam-testing"
PLAY_BUCKET = "dataflow-samples"
PLAY = "shakespeare/kinglear.txt"
TEXT_BUCKET = "apache-beam-samples"
TEXT_PREFIX = "textio/textio-test-data."
TEXT_LINES = 1_000
LOADS_BUCKET = "temp-storage-for-end-to-end-tests"
BUCKETS = (OWN_BUCKET, "bqio_schema_test", LOADS_BUCKET, PLAY_BUCKET, TEXT_BUCKET)
CALL_SECONDS = 30


@dataclass(frozen=True)
class _TextFile:
    name: str
    content_type: str | None
    encoding: str | None = None


COMPRESSED = (
    _TextFile("content-type-gzip-content-encoding-gzip.1k.txt.gz", "application/gzip", "gzip"),
    _TextFile("content-type-gzip-content-encoding-none.1k.txt.gz", "application/gzip"),
    _TextFile("content-type-none-content-encoding-gzip.1k.txt.gz", None, "gzip"),
    _TextFile("content-type-none-content-encoding-none.1k.txt.gz", None),
    _TextFile("content-type-text-content-encoding-gzip.1k.txt.gz", "text/plain", "gzip"),
    _TextFile("content-type-text-content-encoding-none.1k.txt.gz", "text/plain"),
    _TextFile("default.1k.txt.gz", "application/gzip"),
    _TextFile("gzip-local.1k.txt.gz", "application/gzip"),
)
PLAIN = _TextFile("default.1k.txt", "text/plain")


def provide(project: str) -> None:
    """Make every input in the services that the environment names."""
    _provide_files(storage.Client(project))
    with bigquery.Client(BEAM_PROJECT) as client:
        _provide_customers(client)
        _provide_countries(client)
    with bigquery.Client(project) as client:
        _provide_export(client)


def _provide_files(client: storage.Client) -> None:
    for name in BUCKETS:
        client.create_bucket(name, timeout=CALL_SECONDS, retry=None)
    play = client.bucket(PLAY_BUCKET).blob(PLAY)
    play.upload_from_string("Nothing will come of nothing.\n" * 5_000)
    text = b"".join(b"line %d\n" % number for number in range(TEXT_LINES))
    bucket = client.bucket(TEXT_BUCKET)
    _upload(bucket, PLAIN, text)
    for file in COMPRESSED:
        _upload(bucket, file, gzip.compress(text))


def _upload(bucket: storage.Bucket, file: _TextFile, content: bytes) -> None:
    blob = bucket.blob(TEXT_PREFIX + file.name)
    blob.content_encoding = file.encoding
    blob.upload_from_string(content, content_type=file.content_type, timeout=CALL_SECONDS)


def _provide_customers(client: bigquery.Client) -> None:
    """The rows that ReadTests.test_table_schema_retrieve expects."""
    kinds = {"id": "INTEGER", "name": "STRING", "type": "STRING", "times": "TIMESTAMP"}
    rows = [
        (1, "customer1", "test", 1633262400),
        (3, "customer1", "test", 1664798400),
        (2, "customer2", "test", 1601726400),
        (4, "customer2", "test", 1570104000),
    ]
    schema = [bigquery.SchemaField(name, kind) for name, kind in kinds.items()]
    table = _create(client, "beam_bigquery_io_test", "table_schema_retrieve", schema)
    _insert(client, table, [dict(zip(kinds, row, strict=True)) for row in rows])


def _provide_countries(client: bigquery.Client) -> None:
    """The rows that BigQueryJsonIT writes elsewhere, too."""
    test = bigquery_json_it_test.BigQueryJsonIT()
    schema = [_field(field) for field in test.generate_schema().fields]
    names = bigquery_json_it_test.DATASET_ID, bigquery_json_it_test.JSON_TABLE_NAME
    table = _create(client, *names, schema)
    _insert(client, table, [_country(*item) for item in test.generate_data().items()])


def _field(field: Any) -> bigquery.SchemaField:
    parts = [_field(part) for part in field.fields]
    return bigquery.SchemaField(field.name, field.type, field.mode, fields=parts)


def _country(code: str, country: Mapping[str, Any]) -> dict[str, Any]:
    cities = [{"city_name": name, "city": city} for name, city in country["cities"].items()]
    return {**country, "country_code": code, "cities": cities}


def _provide_export(client: bigquery.Client) -> None:
    """As many rows as BigqueryIOReadIT counts."""
    test = bigquery_io_read_it_test.BigqueryIOReadIT
    schema = [bigquery.SchemaField("word", "STRING")]
    table = _create(client, test.DEFAULT_DATASET, f"{test.DEFAULT_TABLE_PREFIX}1M", schema)
    _insert(client, table, [{"word": f"word {n}"} for n in range(test.NUM_RECORDS["1M"])])


def _create(
    client: bigquery.Client, dataset: str, name: str, schema: Sequence[bigquery.SchemaField]
) -> bigquery.Table:
    reference = bigquery.DatasetReference(client.project, dataset)
    client.create_dataset(reference, timeout=CALL_SECONDS, retry=None)
    table = bigquery.Table(reference.table(name), schema=schema)
    return client.create_table(table, timeout=CALL_SECONDS, retry=None)


def _insert(
    client: bigquery.Client, table: bigquery.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    errors = client.insert_rows_json(table, rows, timeout=CALL_SECONDS, retry=None)
    if errors:
        raise AssertionError(errors)
