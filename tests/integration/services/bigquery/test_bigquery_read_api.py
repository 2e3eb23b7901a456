"""The Storage Read API, by the real clients over real sockets."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.io.gcp.bigquery import ReadFromBigQuery
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.api_core import exceptions
from google.cloud import bigquery, bigquery_storage, storage
from google.cloud.bigquery_storage import types

PROJECT = "local-project"
TIMEOUT_SECONDS = 60.0
ARROW, AVRO = types.DataFormat.ARROW, types.DataFormat.AVRO
CODECS = types.ArrowSerializationOptions.CompressionCodec

SCALARS = {
    "INT64": (-(2**63), -(2**63)),
    "FLOAT64": (1e308, 1e308),
    "BOOL": (False, False),
    "STRING": ("Zoë \N{SNOWMAN}", "Zoë \N{SNOWMAN}"),
    "BYTES": ("AP+/", b"\x00\xff\xbf"),
    "NUMERIC": ("-99999999999999999999999999999.999999999",) * 2,
    "BIGNUMERIC": ("-0.00000000000000000000000000000000000001",) * 2,
    "DATE": ("0001-01-01", date(1, 1, 1)),
    "TIME": ("23:59:59.999999", time(23, 59, 59, 999_999)),
    "DATETIME": ("9999-12-31T23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999_999)),
    "TIMESTAMP": (
        "0001-01-01T00:00:00.000001Z",
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    ),
    "JSON": ('{"a":[1,null]}', '{"a":[1,null]}'),
}
DECIMALS = ("NUMERIC", "BIGNUMERIC")


def column(name: str, kind: str) -> str:
    return f"{kind.lower()}_{name}"


SCHEMA = [
    bigquery.SchemaField("id", "INT64", "REQUIRED"),
    *(bigquery.SchemaField(column("one", kind), kind) for kind in SCALARS),
    *(bigquery.SchemaField(column("many", kind), kind, "REPEATED") for kind in SCALARS),
    bigquery.SchemaField(
        "nested",
        "RECORD",
        fields=[
            *(bigquery.SchemaField(column("deep", kind), kind) for kind in SCALARS),
            bigquery.SchemaField(
                "list", "RECORD", "REPEATED", fields=[bigquery.SchemaField("x", "DATETIME")]
            ),
        ],
    ),
]
MOMENT = datetime(2024, 1, 2, 3, 4, 5)


def row(position: int) -> dict[str, Any]:
    """The full row, as it is sent (0) or as it is read (1)."""
    value = {
        kind: Decimal(pair[1]) if position and kind in DECIMALS else pair[position]
        for kind, pair in SCALARS.items()
    }
    return {
        "id": 1,
        **{column("one", kind): value[kind] for kind in SCALARS},
        **{column("many", kind): [value[kind]] * 2 for kind in SCALARS},
        "nested": {
            **{column("deep", kind): value[kind] for kind in SCALARS},
            "list": [{"x": MOMENT if position else MOMENT.isoformat()}],
        },
    }


EMPTY = {
    "id": 2,
    **{column("one", kind): None for kind in SCALARS},
    **{column("many", kind): [] for kind in SCALARS},
    "nested": None,
}


def as_text(value: Any) -> Any:
    """What Avro makes of a row: DATETIME is text there."""
    if isinstance(value, dict):
        return {name: as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    naive = isinstance(value, datetime) and value.tzinfo is None
    return value.isoformat() if naive else value


@dataclass(frozen=True)
class Reader:
    """A client, and the table that it reads."""

    client: bigquery_storage.BigQueryReadClient
    table: str

    def session(self, data_format: int = ARROW, streams: int = 0, **options: Any) -> Any:
        _, dataset, table = self.table.split(".")
        return self.client.create_read_session(
            parent=f"projects/{PROJECT}",
            read_session={
                "table": f"projects/{PROJECT}/datasets/{dataset}/tables/{table}",
                "data_format": data_format,
                **options,
            },
            max_stream_count=streams,
            retry=None,
            timeout=TIMEOUT_SECONDS,
        )

    def rows(self, session: Any) -> list[dict[str, Any]]:
        read = [
            self.client.read_rows(stream.name, timeout=TIMEOUT_SECONDS).rows()
            for stream in session.streams
        ]
        return [plain(item) for rows in read for item in rows]


def plain(item: Any) -> dict[str, Any]:
    return {
        name: value.as_py() if isinstance(value, pa.Scalar) else value
        for name, value in item.items()
    }


@pytest.fixture
def every_type(
    client: bigquery.Client, reader: bigquery_storage.BigQueryReadClient, dataset: str
) -> Reader:
    table = f"{PROJECT}.{dataset}.every_type"
    client.create_table(bigquery.Table(table, SCHEMA))
    assert client.insert_rows_json(table, [row(0), {"id": 2}]) == []
    return Reader(reader, table)


@pytest.mark.parametrize("codec", list(CODECS))
def test_arrow_has_every_value(every_type: Reader, codec: Any) -> None:
    options = {"arrow_serialization_options": {"buffer_compression": codec}}
    session = every_type.session(read_options=options)
    assert every_type.rows(session) == [row(1), EMPTY]


def test_avro_has_every_value(every_type: Reader) -> None:
    session = every_type.session(AVRO)
    assert every_type.rows(session) == [as_text(row(1)), EMPTY]


@pytest.mark.parametrize("native", [False, True], ids=["avro", "arrow"])
def test_beam_reads_every_value(every_type: Reader, bucket: storage.Bucket, native: bool) -> None:
    options = PipelineOptions(
        [], runner="FnApiRunner", project=PROJECT, temp_location=f"gs://{bucket.name}/temp"
    )
    read = ReadFromBigQuery(
        table=every_type.table.replace(".", ":", 1),
        method=ReadFromBigQuery.Method.DIRECT_READ,
        use_native_datetime=native,
    )
    expected = [row(1) if native else as_text(row(1)), EMPTY]
    with beam.Pipeline(options=options) as pipeline:
        assert_that(pipeline | read, equal_to(expected))


def test_the_answer_tells_what_clients_read(every_type: Reader) -> None:
    session = every_type.session(streams=10)
    assert session.name.startswith(f"projects/{PROJECT}/locations/US/sessions/")
    assert session.table.endswith("/tables/every_type")
    assert session.data_format == ARROW
    assert session.estimated_row_count == 2
    assert session.estimated_total_bytes_scanned > 0
    assert session.expire_time > datetime.now(UTC)
    assert len(session.streams) == 1
    first, *_ = every_type.client.read_rows(session.streams[0].name)
    assert first.arrow_schema == session.arrow_schema
    assert first.row_count == 2
    assert first.stats.progress.at_response_end == 1.0


@pytest.mark.parametrize(
    ("restriction", "ids"),
    [
        ("id > 1", [2]),
        ("string_one = 'Zoë \N{SNOWMAN}'", [1]),
        ("datetime_one > '2024-01-01'", [1]),
        ("nested.date_deep = DATE '0001-01-01'", [1]),
        ("numeric_one IS NULL AND NOT id = 1", [2]),
        ("JSON_VALUE(json_one, '$.a[0]') = '1'", [1]),
        ("id = 3", []),
    ],
)
@pytest.mark.parametrize("data_format", [ARROW, AVRO])
def test_a_restriction_leaves_its_rows(
    every_type: Reader, data_format: int, restriction: str, ids: list[int]
) -> None:
    options = {"row_restriction": restriction, "selected_fields": ["id"]}
    session = every_type.session(data_format, read_options=options)
    assert every_type.rows(session) == [{"id": number} for number in ids]
    assert bool(session.streams) == bool(ids)


def test_selected_fields_keep_the_order_of_the_table(every_type: Reader) -> None:
    options = {"selected_fields": ["nested.list.x", "nested.int64_deep", "id"]}
    expected = {"id": 1, "nested": {"int64_deep": -(2**63), "list": [{"x": MOMENT}]}}
    assert every_type.rows(every_type.session(read_options=options))[0] == expected
    avro = every_type.rows(every_type.session(AVRO, read_options=options))
    assert avro[0] == as_text(expected)


@pytest.mark.parametrize(
    ("asked", "failure", "message"),
    [
        ({"table": "projects/p/datasets/no/tables/no"}, exceptions.NotFound, "Not found: Table"),
        ({"table": "no"}, exceptions.InvalidArgument, "Invalid table"),
        ({"data_format": 0}, exceptions.InvalidArgument, "data_format"),
        ({"read_options": {"selected_fields": ["no"]}}, exceptions.InvalidArgument, "no"),
        (
            {"read_options": {"row_restriction": "no = 1"}},
            exceptions.InvalidArgument,
            "Unrecognized name: no",
        ),
        (
            {"read_options": {"row_restriction": "id = 1; DROP TABLE every_type"}},
            exceptions.InvalidArgument,
            "not one condition",
        ),
        (
            {"read_options": {"row_restriction": "id = 'x'"}},
            exceptions.InvalidArgument,
            "convert",
        ),
        (
            {"read_options": {"sample_percentage": 10.0}},
            exceptions.MethodNotImplemented,
            "sample_percentage",
        ),
        (
            {"table_modifiers": {"snapshot_time": {"seconds": 1}}},
            exceptions.MethodNotImplemented,
            "snapshot_time",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    every_type: Reader, asked: dict[str, Any], failure: type[Exception], message: str
) -> None:
    with pytest.raises(failure, match=message):
        every_type.session(**asked)


@pytest.fixture
def many(
    client: bigquery.Client, reader: bigquery_storage.BigQueryReadClient, dataset: str
) -> Reader:
    """A table whose rows make several streams and messages."""
    table = f"{PROJECT}.{dataset}.many"
    numbers = "UNNEST(GENERATE_ARRAY(1, 300000)) AS n"
    text = "REPEAT('x', 30)"
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT n, {text} AS s FROM {numbers}")  # noqa: S608
    return Reader(reader, table)


@pytest.mark.parametrize("data_format", [ARROW, AVRO])
def test_streams_have_every_row_once(many: Reader, data_format: int) -> None:
    session = many.session(data_format, streams=4)
    assert len(session.streams) == 4
    read = [item["n"] for item in many.rows(session)]
    assert len(read) == 300_000
    assert set(read) == set(range(1, 300_001))


def test_a_reader_resumes_at_an_offset(many: Reader) -> None:
    (stream,) = many.session(AVRO, streams=1).streams
    whole = many.client.read_rows(stream.name, timeout=TIMEOUT_SECONDS)
    received, broken = 0, iter(whole)
    for _ in range(2):
        received += next(broken).row_count
    whole.cancel()
    rest = many.client.read_rows(stream.name, offset=received, timeout=TIMEOUT_SECONDS)
    messages = list(rest)
    assert received + sum(message.row_count for message in messages) == 300_000
    assert messages[0].avro_schema.schema
    assert math.isclose(
        messages[0].stats.progress.at_response_start, received / 300_000, rel_tol=1e-6
    )


def test_an_offset_beyond_the_end(many: Reader) -> None:
    (stream,) = many.session(streams=1).streams
    with pytest.raises(exceptions.OutOfRange):
        list(many.client.read_rows(stream.name, offset=300_001, timeout=TIMEOUT_SECONDS))


def test_an_unknown_stream(many: Reader) -> None:
    name = f"projects/{PROJECT}/locations/US/sessions/none/streams/0-1"
    with pytest.raises(exceptions.NotFound):
        list(many.client.read_rows(name, timeout=TIMEOUT_SECONDS))
    with pytest.raises(exceptions.NotFound):
        many.client.split_read_stream({"name": name, "fraction": 0.5}, retry=None)


def test_a_stream_is_split(many: Reader) -> None:
    (stream,) = many.session(streams=1).streams
    halves = many.client.split_read_stream({"name": stream.name, "fraction": 0.5})
    names = [halves.primary_stream.name, halves.remainder_stream.name]
    counts = [sum(m.row_count for m in many.client.read_rows(name)) for name in names]
    assert counts == [150_000, 150_000]


def test_a_row_cannot_be_split(every_type: Reader) -> None:
    options = {"row_restriction": "id = 1"}
    (stream,) = every_type.session(read_options=options).streams
    answer = every_type.client.split_read_stream({"name": stream.name, "fraction": 0.5})
    assert not answer.primary_stream.name
    assert not answer.remainder_stream.name


def test_a_session_does_not_see_what_is_written_later(
    many: Reader, client: bigquery.Client
) -> None:
    session = many.session()
    client.query_and_wait(f"DELETE FROM `{many.table}` WHERE n > 10")  # noqa: S608
    assert len(many.rows(session)) == 300_000
    assert len(many.rows(many.session())) == 10


class TestOfTheBigQueryClient:
    """google-cloud-bigquery takes large results from the Storage API."""

    QUERY = "SELECT n, STRUCT(n AS m) AS nested, [n, n] AS list FROM `{table}` ORDER BY n"

    @pytest.fixture
    def result(self, client: bigquery.Client, many: Reader) -> bigquery.table.RowIterator:
        return client.query_and_wait(self.QUERY.format(table=many.table))

    def test_to_arrow(self, result: Any, many: Reader) -> None:
        table = result.to_arrow(bqstorage_client=many.client)
        assert table["n"].to_pylist() == list(range(1, 300_001))
        assert table["nested"][5].as_py() == {"m": 6}
        assert table["list"][5].as_py() == [6, 6]

    def test_to_arrow_iterable(self, result: Any, many: Reader) -> None:
        batches: Iterator[Any] = result.to_arrow_iterable(bqstorage_client=many.client)
        assert sum(batch.num_rows for batch in batches) == 300_000

    def test_the_anonymous_table_by_name(self, client: bigquery.Client, many: Reader) -> None:
        job = client.query(self.QUERY.format(table=many.table))
        job.result()
        destination = job.destination
        name = f"{destination.project}.{destination.dataset_id}.{destination.table_id}"
        reader = Reader(many.client, name)
        session = reader.session(AVRO, read_options={"selected_fields": ["nested.m"]})
        assert reader.rows(session)[7] == {"nested": {"m": 8}}


def test_many_threads_at_once(many: Reader, every_type: Reader) -> None:
    def read(number: int) -> bool:
        data_format = ARROW if number % 2 else AVRO
        options = {"row_restriction": f"n > {number} AND n <= {number + 5000}"}
        rows = many.rows(many.session(data_format, streams=3, read_options=options))
        small = every_type.rows(every_type.session(data_format))
        complete = {item["n"] for item in rows} == set(range(number + 1, number + 5001))
        return complete and len(rows) == 5000 and [item["id"] for item in small] == [1, 2]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(48), timeout=TIMEOUT_SECONDS))
