"""A service that has run many jobs keeps no more of them than it says."""

# ruff: noqa: S608 - queries made of numbers
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tf_dataflow_serving.services.process import ServiceProcess

PROJECT = "local-project"
ROOT = f"/bigquery/v2/projects/{PROJECT}"
UPLOAD = f"/upload{ROOT}/jobs?uploadType=multipart"
BUCKET = "memory"
THREADS = 4
JOBS = 1_000
RESULT_BYTES = 4_000_000
# Their results exceed what is kept of such (256 MiB), so that the service is as large as it gets.
FIRST_RESULTS = 80
# Every tenth job leaves a result: all of them would be three times that.
MOST_GROWTH = 130 * 2**20
WAIT_SECONDS = 60.0
SCHEMA = {"fields": [{"name": "id", "type": "INTEGER"}, {"name": "text", "type": "STRING"}]}
LINES = "".join(json.dumps({"id": row, "text": f"text {row}"}) + "\n" for row in range(200))


class Jobs:
    """Runs jobs of all kinds in turn, each by its number, one at a time."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=WAIT_SECONDS, trust_env=False)
        self.client.post(f"{ROOT}/datasets", json={"datasetReference": {"datasetId": "d"}})
        self.load(0, "source")
        kinds = [self.load, self.extract, self.copy, self.fail, self.script]
        self.kinds = [self.large_query, *kinds, self.fill, self.load, self.extract, self.fail]

    def run(self, number: int) -> None:
        self.kinds[number % len(self.kinds)](number)

    def close(self) -> None:
        self.client.close()

    def tables(self) -> set[str]:
        listing = self.client.get(f"{ROOT}/datasets/d/tables").raise_for_status().json()
        return {table["tableReference"]["tableId"] for table in listing["tables"]}

    def large_query(self, number: int) -> None:
        query = f"SELECT {number} AS id, REPEAT('x', {RESULT_BYTES}) AS text"
        self.job({"query": {"query": query, "useLegacySql": False}})

    def load(self, number: int, table: str = "") -> None:
        name = table or f"loaded_{number}"
        load = {"destinationTable": reference(name), "schema": SCHEMA}
        job = {"configuration": {"load": load | {"sourceFormat": "NEWLINE_DELIMITED_JSON"}}}
        body = "".join(
            f"--part\r\nContent-Type: application/json\r\n\r\n{part}\r\n"
            for part in (json.dumps(job), LINES)
        )
        headers = {"content-type": "multipart/related; boundary=part"}
        check(self.client.post(UPLOAD, content=f"{body}--part--\r\n", headers=headers))
        if not table:
            self.drop(name)

    def copy(self, number: int) -> None:
        name = f"copied_{number}"
        self.job(
            {"copy": {"sourceTable": reference("source"), "destinationTable": reference(name)}}
        )
        self.drop(name)

    def extract(self, number: int) -> None:
        uris = [f"gs://{BUCKET}/extracted-{number % 10}.csv"]
        self.job({"extract": {"sourceTable": reference("source"), "destinationUris": uris}})

    def script(self, number: int) -> None:
        query = f"CREATE TEMP TABLE t AS SELECT {number} AS id; SELECT * FROM t"
        self.job({"query": {"query": query, "useLegacySql": False}})

    def fill(self, number: int) -> None:
        """As Beam reads the result of a query: it goes to a table, which is dropped later."""
        name = f"filled_{number}"
        query = f"SELECT id + {number} AS id FROM d.source"
        destination = {"destinationTable": reference(name)}
        self.job({"query": {"query": query, "useLegacySql": False} | destination})
        self.drop(name)

    def fail(self, number: int) -> None:
        query = f"SELECT nothing_{number} FROM d.source"
        job = {"configuration": {"query": {"query": query, "useLegacySql": False}}}
        answer = self.client.post(f"{ROOT}/jobs", json=job)
        assert "errorResult" in answer.json()["status"], answer.text

    def job(self, configuration: dict[str, Any]) -> None:
        check(self.client.post(f"{ROOT}/jobs", json={"configuration": configuration}))

    def drop(self, table: str) -> None:
        self.client.delete(f"{ROOT}/datasets/d/tables/{table}").raise_for_status()


def reference(table: str) -> dict[str, str]:
    return {"projectId": PROJECT, "datasetId": "d", "tableId": table}


def check(response: httpx.Response) -> None:
    status = response.raise_for_status().json()["status"]
    assert status["state"] == "DONE"
    assert "errorResult" not in status, status


def resident_bytes(service: ServiceProcess) -> int:
    resident: int = psutil.Process(service.process.pid).memory_info().rss
    return resident


def start(name: str, arguments: list[str], directory: Path) -> ServiceProcess:
    return ServiceProcess.start(
        name,
        f"tf_dataflow_serving.services.{name}",
        arguments,
        directory / f"{name}.log",
        {**os.environ, "TMPDIR": str(directory)},
    )


@pytest.fixture
def storage_url(tmp_path: Path) -> Iterator[str]:
    service = start("storage", [], tmp_path)
    try:
        url = f"http://127.0.0.1:{service.ports['http']}"
        httpx.post(f"{url}/storage/v1/b?project=p", json={"name": BUCKET}).raise_for_status()
        yield url
    finally:
        service.stop()


@pytest.fixture
def service(storage_url: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service of this test's own: what others run in one would be measured too."""
    made = start("bigquery", ["--project", PROJECT, "--storage_url", storage_url], tmp_path)
    try:
        yield made
        made.raise_if_dead()
    finally:
        made.stop()


@pytest.mark.timeout(300)
def test_a_thousand_jobs_leave_a_service_as_large_as_it_was(service: ServiceProcess) -> None:
    with (
        closing(Jobs(f"http://127.0.0.1:{service.ports['http']}")) as jobs,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        list(threads.map(jobs.large_query, range(FIRST_RESULTS)))
        list(threads.map(jobs.run, range(100)))
        before = resident_bytes(service)
        list(threads.map(jobs.run, range(100, 100 + JOBS)))
        growth = resident_bytes(service) - before
        assert growth < MOST_GROWTH
        assert jobs.tables() == {"source"}
