"""What may be in a dataset, and how a client asks for it and changes it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx

PROJECT = "local-project"
ROOT = f"/bigquery/v2/projects/{PROJECT}"
UPLOAD = f"/upload{ROOT}/jobs?uploadType=multipart"
RELATED = {"content-type": "multipart/related; boundary=part"}
COLUMNS = ("id", "text")

Rows = tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Table:
    """What is in a table; columns that come later hold nothing."""

    columns: tuple[str, ...] = COLUMNS
    rows: Rows = ()
    labels: tuple[tuple[str, str], ...] = ()

    def plus(self, rows: Rows) -> "Table":
        return replace(self, rows=tuple(sorted(self.rows + rows)))


@dataclass(frozen=True)
class State:
    """What is in a dataset; of its view, the table that it is made on."""

    exists: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    view: str | None = None

    def seen(self) -> "Sight":
        """What a client finds."""
        base = self.table(self.view) if self.view else None
        numbers = sorted(row for row, _ in base.rows) if base else None
        return Sight(self.exists, self.labels, self.tables, self.view is not None, numbers)

    def table(self, name: str) -> Table | None:
        return dict(self.tables).get(name)

    def having(self, name: str, table: Table) -> "State":
        return replace(self, tables=tuple(sorted({**dict(self.tables), name: table}.items())))

    def lacking(self, name: str) -> "State":
        left = tuple(pair for pair in self.tables if pair[0] != name)
        return replace(self, tables=left)


@dataclass(frozen=True)
class Sight:
    """What a client finds in a dataset; `viewed` are the numbers that its view gives, if any."""

    exists: bool
    labels: tuple[tuple[str, str], ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    has_view: bool = False
    viewed: list[int] | None = None


@dataclass(frozen=True)
class Request:
    """One call, and what the dataset is after it; `job` is the id of the job that it starts."""

    send: Callable[[httpx.Client], httpx.Response]
    after: State
    job: str = ""


def schema_of(columns: tuple[str, ...]) -> dict[str, Any]:
    types = {"id": "INTEGER"}
    return {"fields": [{"name": name, "type": types.get(name, "STRING")} for name in columns]}


def new_job(configuration: dict[str, Any]) -> dict[str, Any]:
    reference = {"projectId": PROJECT, "jobId": uuid4().hex}
    return {"jobReference": reference, "configuration": configuration}


def id_of(job: dict[str, Any]) -> str:
    return str(job["jobReference"]["jobId"])


def post(path: str, body: Any, client: httpx.Client) -> httpx.Response:
    return client.post(path, json=body)


def upload(job: dict[str, Any], content: bytes, client: httpx.Client) -> httpx.Response:
    return client.post(UPLOAD, content=related(job, content), headers=RELATED)


def related(job: dict[str, Any], content: bytes) -> bytes:
    """The body of a request that both tells of a job and carries its file."""
    parts = [("application/json", json.dumps(job).encode()), ("application/octet-stream", content)]
    body = b"".join(
        b"--part\r\nContent-Type: %s\r\n\r\n%s\r\n" % (kind.encode(), part) for kind, part in parts
    )
    return body + b"--part--\r\n"


def check(response: httpx.Response) -> None:
    """Raise unless a request, and the job that it started, succeeded."""
    assert response.is_success, response.text
    answer = response.json() if response.content else {}
    assert "insertErrors" not in answer, answer
    status = answer.get("status", {})
    assert "errorResult" not in status, (status, answer.get("configuration"))


def has_succeeded(client: httpx.Client, job: str) -> bool:
    response = client.get(f"{ROOT}/jobs/{job}")
    if response.status_code == httpx.codes.NOT_FOUND:
        return False
    check(response)
    return bool(response.json()["status"]["state"] == "DONE")


def observed(client: httpx.Client, dataset: str) -> Sight:
    """What a client finds in a dataset."""
    response = client.get(f"{ROOT}/datasets/{dataset}")
    if response.status_code == httpx.codes.NOT_FOUND:
        return Sight(exists=False)
    labels = tuple(response.json().get("labels", {}).items())
    listing = client.get(f"{ROOT}/datasets/{dataset}/tables").raise_for_status().json()
    names = {item["tableReference"]["tableId"]: item["type"] for item in listing.get("tables", ())}
    tables = [(name, table_of(client, dataset, name)) for name in names if names[name] == "TABLE"]
    has_view = "VIEW" in names.values()
    viewed = numbers_in_view(client, dataset) if has_view else None
    return Sight(True, labels, tuple(sorted(tables)), has_view, viewed)


def table_of(client: httpx.Client, dataset: str, name: str) -> Table:
    path = f"{ROOT}/datasets/{dataset}/tables/{name}"
    resource = client.get(path).raise_for_status().json()
    columns = tuple(column["name"] for column in resource["schema"]["fields"])
    listing = client.get(f"{path}/data?maxResults=100000").raise_for_status().json()
    cells = [[cell["v"] for cell in row["f"]] for row in listing.get("rows", ())]
    rows = tuple(sorted((int(row[0]), row[1]) for row in cells))
    assert resource["numRows"] == listing["totalRows"] == str(len(rows))
    return Table(columns, rows, tuple(resource.get("labels", {}).items()))


def numbers_in_view(client: httpx.Client, dataset: str) -> list[int] | None:
    """None if the view's table is gone."""
    select = f"SELECT id FROM {dataset}.v ORDER BY id"  # noqa: S608 - a name of the test's
    query = {"query": select, "useLegacySql": False}
    answer = client.post(f"{ROOT}/queries", json=query | {"maxResults": 100_000})
    if answer.is_client_error:
        return None
    return [int(row["f"][0]["v"]) for row in answer.raise_for_status().json().get("rows", ())]
