"""The client of the other emulator, against canned answers; failures; kept properties."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BackendFailed,
    InvalidData,
    InvalidQuery,
    NotFound,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.types.schema import Field
from tf_dataflow_serving.services.bigquery.upstream.changes import Changes
from tf_dataflow_serving.services.bigquery.upstream.client import UpstreamClient
from tf_dataflow_serving.services.bigquery.upstream.failures import failure
from tf_dataflow_serving.services.bigquery.upstream.properties import TableProperties, merged
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

TABLE = TableRef("project", "dataset", "table")
UNREAD = "read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout"


class CannedServer(ThreadingHTTPServer):
    """Answers with what is given, in order, and notes the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, object]] = []
        self.requests: list[tuple[str, str, object]] = []


class _Handler(BaseHTTPRequestHandler):
    server: CannedServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        sent = json.loads(body) if body else None
        self.server.requests.append((self.command, self.path, sent))
        status, content = self.server.answers.pop(0)
        payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _failed(message):
    return {"error": {"code": 400, "message": message}}


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with CannedServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def client(server) -> Iterator[UpstreamClient]:
    client = UpstreamClient(f"http://127.0.0.1:{server.server_port}/")
    yield client
    client.close()


def test_a_query_leaves_no_job(server, client):
    answer = {"schema": {"fields": [{"name": "x", "type": "INTEGER"}]}, "rows": [{"f": []}]}
    server.answers = [(200, answer)]
    result = client.query("project", "SELECT 1")
    assert (result.schema, result.rows) == ((Field("x", "INTEGER"),), [{"f": []}])
    [(method, path, sent)] = server.requests
    assert (method, path) == ("POST", "/bigquery/v2/projects/project/queries")
    assert sent["dryRun"] is True


def test_the_job_of_a_statement_is_deleted(server, client):
    server.answers = [(200, {"jobReference": {"jobId": "j"}}), (500, "no JSON")]
    client.execute("project", "INSERT ...")
    assert server.requests[0][2].get("dryRun") is None
    assert server.requests[1][:2] == ("DELETE", "/bigquery/v2/projects/project/jobs/j/delete")


def test_a_request_that_was_not_read_is_sent_again(server, client):
    server.answers = [(400, _failed(UNREAD)), (400, _failed(UNREAD)), (200, {"rows": []})]
    assert client.query("project", "SELECT 1").rows == []
    assert len(server.requests) == 3


def test_what_is_missing_is_none(server, client):
    server.answers = [(404, _failed("table t is not found")), (404, _failed("d is not found"))]
    assert client.table(TABLE) is None
    assert client.dataset("project", "d") is None


@pytest.mark.parametrize("content", ["", "<html>", {"error": "what"}])
def test_failures_without_words_are_told_too(server, client, content):
    server.answers = [(502, content)]
    with pytest.raises(BackendFailed):
        client.query("project", "SELECT 1")


def test_an_answer_that_is_no_json_is_a_failure(server, client):
    server.answers = [(200, "<html>")]
    with pytest.raises(BackendFailed, match="no JSON"):
        client.query("project", "SELECT 1")


def test_no_answer_names_the_emulator(server, client):
    server.shutdown()
    server.server_close()
    with pytest.raises(BackendFailed, match=f"127.0.0.1:{server.server_port}.* did not answer"):
        client.query("project", "SELECT 1")


@pytest.mark.parametrize(
    ("status", "message", "kind", "told"),
    [
        (
            400,
            "failed to analyze: Table not found: d.nope; Did you mean x? [at 1:15]",
            NotFound,
            "Not found: Table d.nope",
        ),
        (404, "table t is not found", NotFound, "table t is not found"),
        (400, "failed to query select: sqlite3: SQL logic error: no such table: x", NotFound, None),
        (400, "duplicate: table t: table is already created", AlreadyExists, None),
        (
            400,
            "failed to exec CREATE: sqlite3: SQL logic error: table `x` already exists",
            AlreadyExists,
            "SQL logic error: table `x` already exists",
        ),
        (
            400,
            "failed to exec INSERT\n'no such table': sqlite3: constraint failed: NOT NULL",
            InvalidData,
            "constraint failed: NOT NULL",
        ),
        (400, "failed to analyze: Statement not supported: RollbackStatement", Unsupported, None),
        (
            400,
            "failed to parse statements: failed to parse statement: Syntax error: x [at 1:1]",
            InvalidQuery,
            "Syntax error: x [at 1:1]",
        ),
        (400, UNREAD, BackendFailed, None),
        (500, "runtime error: invalid memory address", BackendFailed, None),
    ],
)
def test_messages_tell_the_kind_of_failure(status, message, kind, told):
    error = failure(status, message)
    assert type(error) is kind
    if told is not None:
        assert error.message == told


def test_properties_are_of_one_table_only():
    properties = TableProperties()
    properties.set(TABLE, "1", {"labels": {"a": "b"}})
    assert properties.get(TABLE, "1") == {"labels": {"a": "b"}}
    assert properties.get(TABLE, "2") == {}
    properties.forget(TABLE)
    assert properties.get(TABLE, "1") == {}
    assert properties.changes(TABLE) == 1


def test_a_resource_is_told_with_what_is_kept_and_its_times_in_milliseconds():
    resource = {"creationTime": "1700000000", "lastModifiedTime": "1700000000123", "type": "TABLE"}
    assert merged(resource, {"labels": {"a": "b"}}) == {
        "creationTime": "1700000000000",
        "lastModifiedTime": "1700000000123",
        "type": "TABLE",
        "labels": {"a": "b"},
    }


def test_changes_are_made_in_order_and_taken_back_in_the_other():
    changes, done = Changes(), []
    changes.add(TABLE, ["b"])
    changes.begin_with(TABLE, ["a"])
    assert changes.script("c") == "a;\nb;\nc"
    changes.discard(TABLE)
    assert changes.script() == ""

    def fails() -> None:
        raise NotFound("gone")

    for step in (lambda: done.append(1), fails, lambda: done.append(2)):
        changes.undone_by(step)
    changes.undo()
    assert done == [2, 1]
