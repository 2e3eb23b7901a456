"""A service with a data directory that is killed again and again while it is used.

Every actor has datasets of its own, and knows what must be in them: what all answered requests
have made of them, or that and the whole effect of the one that was not answered.
"""

import json
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import duckdb
import httpx
import pytest

from tf_dataflow_serving.services.process import ServiceFailed, ServiceProcess

from ..kills import Start, check_that_answers_outlive_kills, client_of, new_chance
from .crash_actor import Actor
from .crash_states import (
    COLUMNS,
    PROJECT,
    RELATED,
    ROOT,
    UPLOAD,
    new_job,
    observed,
    post,
    related,
    schema_of,
)

ACTORS = 4
ROUNDS = 4
MOST_ANSWERS = 60
LOADED = 100_000
STOP_SECONDS = 10.0
REQUIRED = ("--project", PROJECT, "--storage_url", "http://127.0.0.1:1")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the service on one data directory, as often as a test wishes."""
    with ExitStack() as stack:

        def run() -> ServiceProcess:
            service = ServiceProcess.start(
                "bigquery",
                "tf_dataflow_serving.services.bigquery",
                [*REQUIRED, "--data_dir", str(tmp_path / "data")],
                tmp_path / "bigquery.log",
                {**os.environ, "TMPDIR": str(tmp_path)},
            )
            stack.callback(service.stop)
            return service

        yield run


def check_that_catalog_and_tables_agree(directory: Path) -> None:
    with duckdb.connect(str(directory / "bqemulator.duckdb")) as database:
        known = database.execute(
            "SELECT project_id || '__' || dataset_id, table_id FROM _bqemulator_catalog.tables"
        ).fetchall()
        made = database.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema LIKE '%\\_\\_%' ESCAPE '\\'"
        ).fetchall()
        assert sorted(known) == sorted(made)


@pytest.mark.timeout(300)
def test_what_was_answered_holds_however_often_the_service_is_killed(
    start: Start, tmp_path: Path
) -> None:
    chance = new_chance()
    actors = [Actor(number, random.Random(chance.random())) for number in range(ACTORS)]
    service = check_that_answers_outlive_kills(start, actors, chance, ROUNDS, MOST_ANSWERS)
    service.stop()
    check_that_catalog_and_tables_agree(tmp_path / "data")


def large_load() -> bytes:
    """A request to load LOADED rows into d.t."""
    lines = "".join(json.dumps({"id": row, "text": f"text {row}"}) + "\n" for row in range(LOADED))
    load = {
        "destinationTable": {"projectId": PROJECT, "datasetId": "d", "tableId": "t"},
        "schema": schema_of(COLUMNS),
        "sourceFormat": "NEWLINE_DELIMITED_JSON",
    }
    return related(new_job({"load": load}), lines.encode())


def is_done(answer: httpx.Response) -> bool:
    status = answer.json().get("status", {}) if answer.is_success else {}
    return status.get("state") == "DONE" and "errorResult" not in status


def load_and_end(service: ServiceProcess, sent: float) -> bool:
    """Ask the service to end when this part of a load is sent; True if it still says it is done."""
    body = large_load()
    cut = int(len(body) * sent)

    def pieces() -> Iterator[bytes]:
        yield body[:cut]
        service.begin_stop()
        yield body[cut:]

    with client_of(service) as client:
        dataset = {"datasetReference": {"projectId": PROJECT, "datasetId": "d"}}
        post(f"{ROOT}/datasets", dataset, client).raise_for_status()
        try:
            return is_done(client.post(UPLOAD, content=pieces(), headers=RELATED))
        except httpx.TransportError:
            return False


@pytest.mark.parametrize("sent", [0.5, 1.0])
def test_a_load_is_whole_or_absent_if_the_service_is_asked_to_end(
    start: Start, sent: float
) -> None:
    service = start()
    answered = load_and_end(service, sent)
    assert service.process.wait(STOP_SECONDS) == 0
    with client_of(start()) as client:
        rows = [len(table.rows) for _, table in observed(client, "d").tables]
    assert rows in ([[LOADED]] if answered else [[LOADED], []])


def test_a_load_that_nobody_goes_on_to_send_does_not_hold_up_the_end(start: Start) -> None:
    service = start()
    body = large_load()

    def pieces() -> Iterator[bytes]:
        yield body[: len(body) // 2]
        service.begin_stop()
        assert service.process.wait(STOP_SECONDS) == 0
        yield body[len(body) // 2 :]

    with client_of(service) as client:
        dataset = {"datasetReference": {"projectId": PROJECT, "datasetId": "d"}}
        post(f"{ROOT}/datasets", dataset, client).raise_for_status()
        with suppress(httpx.TransportError):
            answer = client.post(UPLOAD, content=pieces(), headers=RELATED)
            assert answer.is_error, answer.text
    with client_of(start()) as client:
        assert observed(client, "d").tables == ()


def test_another_process_on_the_directory_is_refused(start: Start) -> None:
    start()
    with pytest.raises(ServiceFailed, match="another process is using it") as said:
        start()
    assert str(said.value).count("\n") == 1, "more than its name and one line"


def test_a_foreign_directory_is_refused(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bqemulator.duckdb").write_bytes(b"something else" * 1_000)
    with pytest.raises(ServiceFailed, match=r"cannot be used: .* not a valid") as said:
        start()
    assert str(said.value).count("\n") == 1, "more than its name and one line"


def test_a_file_is_no_directory(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(ServiceFailed, match=r"cannot be used: .*File exists") as said:
        start()
    assert str(said.value).count("\n") == 1, "more than its name and one line"
    assert (tmp_path / "data").read_text() == "mine"
