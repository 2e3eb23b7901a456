"""The Storage Write API, by the real client; what it wrote is read by the Read API."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, bigquery_storage
from google.cloud.bigquery_storage import types
from google.cloud.bigquery_storage_v1.writer import AppendRowsStream
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROJECT = "local-project"
TIMEOUT_SECONDS = 60.0
SCHEMA = [
    bigquery.SchemaField("id", "INT64", "REQUIRED"),
    bigquery.SchemaField("s", "STRING"),
    bigquery.SchemaField("tags", "STRING", "REPEATED"),
]
ROWS = [
    {"id": 1, "s": "Zoë", "tags": ["a", "b"]},
    {"id": 2, "s": "", "tags": []},
    {"id": -(2**63), "s": "x" * 1000, "tags": ["c"]},
]


def row_descriptor() -> descriptor_pb2.DescriptorProto:
    kinds = descriptor_pb2.FieldDescriptorProto
    row = descriptor_pb2.DescriptorProto(name="Row")
    for number, (name, kind, label) in enumerate(
        [
            ("id", kinds.TYPE_INT64, kinds.LABEL_REQUIRED),
            ("s", kinds.TYPE_STRING, kinds.LABEL_OPTIONAL),
            ("tags", kinds.TYPE_STRING, kinds.LABEL_REPEATED),
        ],
        start=1,
    ):
        row.field.add(name=name, number=number, type=kind, label=label)
    return row


def serialized(rows: list[dict[str, Any]]) -> list[bytes]:
    file = descriptor_pb2.FileDescriptorProto(
        name="row.proto", syntax="proto2", message_type=[row_descriptor()]
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("Row"))
    return [message(**row).SerializeToString() for row in rows]


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    name = f"{PROJECT}.{dataset}.appended"
    client.create_table(bigquery.Table(name, SCHEMA))
    return name


@pytest.fixture
def writer(redirected: Any) -> bigquery_storage.BigQueryWriteClient:
    return bigquery_storage.BigQueryWriteClient(credentials=AnonymousCredentials())


@pytest.fixture(params=["streams/_default", "_default"])
def stream(
    request: pytest.FixtureRequest, writer: bigquery_storage.BigQueryWriteClient, table: str
) -> Iterator[AppendRowsStream]:
    """The default stream of the table, by both of its names."""
    project, dataset, name = table.split(".")
    template = types.AppendRowsRequest(
        write_stream=f"projects/{project}/datasets/{dataset}/tables/{name}/{request.param}",
        proto_rows={"writer_schema": {"proto_descriptor": row_descriptor()}},
    )
    opened = AppendRowsStream(writer, template)
    yield opened
    opened.close()


def append(stream: AppendRowsStream, rows: list[dict[str, Any]]) -> types.AppendRowsResponse:
    sent = {"serialized_rows": serialized(rows)}
    request = types.AppendRowsRequest(proto_rows={"rows": sent})
    return stream.send(request).result(timeout=TIMEOUT_SECONDS)


def test_rows_that_are_appended_can_be_read(
    stream: AppendRowsStream,
    client: bigquery.Client,
    reader: bigquery_storage.BigQueryReadClient,
    table: str,
) -> None:
    for row in ROWS:
        assert not append(stream, [row]).error.code
    assert not append(stream, ROWS).error.code
    listed = [dict(row) for row in client.list_rows(table)]
    read = client.list_rows(table).to_arrow(bqstorage_client=reader).to_pylist()
    assert listed == read == ROWS + ROWS
