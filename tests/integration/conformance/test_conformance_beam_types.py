"""Every standard type through unmodified Beam, by each way to write and to read BigQuery."""

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.bigquery import ReadFromBigQuery, WriteToBigQuery
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from .typed_rows import (
    FILE_ROWS,
    FROM_AVRO,
    FROM_TEXT,
    JSON_ROWS,
    ROWS,
    SCHEMA,
    Converters,
    Row,
    converted,
    in_order,
    listed,
)

DIRECT = {"method": ReadFromBigQuery.Method.DIRECT_READ}
EXPORT = {"method": ReadFromBigQuery.Method.EXPORT}


def of_utc(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" UTC", "+00:00"))


def of_json(value: Any) -> Any:
    """A JSON value, which no document says whether a JSON export holds as such or as text."""
    return json.loads(value) if isinstance(value, str) else value


# Beam decodes some types of a JSON export and leaves the others as they are in the file.
FROM_JSON_EXPORT: Converters = {
    "BIGNUMERIC": Decimal,
    "BYTES": base64.b64decode,
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "DATETIME": datetime.fromisoformat,
    "TIMESTAMP": of_utc,
    "JSON": of_json,
}
READS: Mapping[str, tuple[dict[str, Any], Converters]] = {
    "direct-avro": (DIRECT, FROM_AVRO),
    "direct-arrow": ({**DIRECT, "use_native_datetime": True}, FROM_TEXT),
    "export-avro": (EXPORT, FROM_AVRO),
    "export-json": ({**EXPORT, "use_json_exports": True}, FROM_JSON_EXPORT),
}


@pytest.mark.parametrize("method", READS)
def test_rows_of_a_table_are_read_exactly(
    options: PipelineOptions, types_table: str, method: str
) -> None:
    arguments, by_type = READS[method]
    table = types_table.replace(".", ":", 1)

    def exact(row: Row) -> Row:
        return converted(row, SCHEMA, by_type)

    with beam.Pipeline(options=options) as pipeline:
        rows = pipeline | ReadFromBigQuery(table=table, **arguments) | beam.Map(exact)
        assert_that(rows, equal_to(ROWS))


def beam_schema(fields: Any) -> dict[str, Any]:
    return {"fields": [field.to_api_repr() for field in fields]}


def write(options: PipelineOptions, rows: list[Row], schema: Any, **arguments: Any) -> None:
    with beam.Pipeline(options=options) as pipeline:
        to_table = WriteToBigQuery(schema=beam_schema(schema), **arguments)
        _ = pipeline | beam.Create(rows) | to_table


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    return f"{client.project}.{dataset}.written"


def test_streaming_inserts_write_exactly(
    client: bigquery.Client, options: PipelineOptions, table: str
) -> None:
    method = WriteToBigQuery.Method.STREAMING_INSERTS
    write(options, JSON_ROWS, SCHEMA, table=table.replace(".", ":", 1), method=method)
    assert listed(client, table) == ROWS


def test_file_loads_of_json_write_exactly(
    client: bigquery.Client, options: PipelineOptions, table: str
) -> None:
    method = WriteToBigQuery.Method.FILE_LOADS
    write(options, FILE_ROWS, SCHEMA, table=table.replace(".", ":", 1), method=method)
    assert listed(client, table) == ROWS


# Types that Beam cannot write to Avro (bigquery_avro_tools.BIG_QUERY_TO_AVRO_TYPES).
NOT_IN_AVRO = ("BIGNUMERIC", "JSON")


def in_avro(fields: Any) -> list[SchemaField]:
    """The fields that Beam can write to Avro."""
    kept = [field for field in fields if field.field_type not in NOT_IN_AVRO]
    return [
        SchemaField(f.name, f.field_type, f.mode, fields=in_avro(f.fields)) if f.fields else f
        for f in kept
    ]


AVRO_SCHEMA = in_avro(SCHEMA)


def test_file_loads_of_avro_write_exactly(
    client: bigquery.Client, options: PipelineOptions, table: str
) -> None:
    to_avro: Converters = {"DATETIME": lambda value: value.isoformat()}
    rows = [converted(values, AVRO_SCHEMA, to_avro) for values in ROWS]
    write(
        options,
        rows,
        AVRO_SCHEMA,
        table=table.replace(".", ":", 1),
        method=WriteToBigQuery.Method.FILE_LOADS,
        temp_file_format="AVRO",
    )
    expected = in_order(ROWS, schema=AVRO_SCHEMA)
    assert in_order(client.list_rows(table), schema=AVRO_SCHEMA) == expected
