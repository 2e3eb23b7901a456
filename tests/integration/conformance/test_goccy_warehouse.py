"""The warehouse over goccy/bigquery-emulator itself; DATAFLOW_SERVING_GOCCY names its program."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import httpx
import pyarrow as pa
import pytest

from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BackendFailed,
    BigQueryError,
    InvalidData,
    InvalidQuery,
    NotFound,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, arrow_schema
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow
from tf_dataflow_serving.services.bigquery.upstream.cells import TimestampForm, rewritten
from tf_dataflow_serving.services.bigquery.upstream.client import UpstreamClient
from tf_dataflow_serving.services.bigquery.upstream.staging import STAGING_DATASET
from tf_dataflow_serving.services.bigquery.upstream.warehouse import UpstreamWarehouse
from tf_dataflow_serving.services.bigquery.warehouse import TableRef, Target, Write, store

PROGRAM = os.environ.get("DATAFLOW_SERVING_GOCCY", "")
PROJECT = "local-project"
READY_SECONDS = 60
pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="DATAFLOW_SERVING_GOCCY does not name goccy/bigquery-emulator's program"
)
BIGNUMERIC = "578960446186580977117854925043439539266.34992332820282019728792003956564819967"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, grpc_port = _free_port(), _free_port()
    command = [PROGRAM, f"--project={PROJECT}", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("goccy") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--grpc-port", str(grpc_port), "--log-level=error"],
            stdout=output,
            stderr=output,
        )
    try:
        _await_ready(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    client = UpstreamClient(url)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            client.dataset(PROJECT, "none")
        except BackendFailed:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            client.close()
            return


@pytest.fixture
def client(url: str) -> Iterator[UpstreamClient]:
    client = UpstreamClient(url)
    yield client
    client.close()


@pytest.fixture
def warehouse(client: UpstreamClient) -> UpstreamWarehouse:
    return UpstreamWarehouse(client)


@pytest.fixture
def table(client: UpstreamClient) -> TableRef:
    dataset = f"d_{uuid4().hex}"
    client.create_dataset(PROJECT, dataset)
    return TableRef(PROJECT, dataset, "by")


SCALARS = (
    ("i", "INTEGER", -(2**63)),
    ("f", "FLOAT", 5e-324),
    ("b", "BOOLEAN", True),
    ("s", "STRING", "it's\n\"\\`\0 😀 -- ; @a ?"),
    ("by", "BYTES", bytes(range(256))),
    ("n", "NUMERIC", Decimal("-99999999999999999999999999999.999999999")),
    ("bn", "BIGNUMERIC", Decimal(BIGNUMERIC)),
    ("d", "DATE", date(1, 1, 1)),
    ("t", "TIME", time_of_day(23, 59, 59, 999999)),
    ("dt", "DATETIME", datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ("ts", "TIMESTAMP", datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ("j", "JSON", '{"a":[1,null,"\\"x"],"b":12345678901234567890}'),
)
FIELDS = tuple(Field(name, kind) for name, kind, _ in SCALARS)
LISTS = tuple(Field(name, kind, Mode.REPEATED) for name, kind, _ in SCALARS)
DEEP = (
    Field("one", "RECORD", fields=(*FIELDS, Field("in", "RECORD", Mode.REPEATED, LISTS))),
    Field("more", "RECORD", Mode.REPEATED, (*FIELDS, Field("in", "RECORD", fields=LISTS))),
)
SCHEMA = (*FIELDS, Field("lists", "RECORD", fields=LISTS), *DEEP)
VALUES = {name: value for name, _, value in SCALARS}
EMPTY = dict.fromkeys(VALUES)
MANY = {name: [value, value] for name, value in VALUES.items()}
NONE = {name: [] for name in VALUES}
ROWS = [
    {**VALUES, "lists": MANY, "one": {**VALUES, "in": [MANY, NONE]}, "more": []},
    {**EMPTY, "lists": NONE, "one": {**EMPTY, "in": []}, "more": [{**EMPTY, "in": NONE}]},
    {**EMPTY, "lists": None, "one": None, "more": [{**VALUES, "in": MANY}, {**EMPTY, "in": None}]},
]


def test_every_type_survives(warehouse, table):
    rows = rows_to_arrow(ROWS, SCHEMA)
    warehouse.create(table, SCHEMA, {})
    warehouse.append(table, rows)
    read = warehouse.read(table)
    assert read.schema == arrow_schema(SCHEMA)
    assert read.to_pylist() == ROWS
    assert warehouse.schema(table) == SCHEMA
    assert warehouse.count(table) == 3


FLOATS = (Field("f", "FLOAT"),)


def test_infinities_survive_in_columns(warehouse, table):
    rows = [{"f": float("inf")}, {"f": float("-inf")}, {"f": 1.7976931348623157e308}, {"f": 1e22}]
    warehouse.create(table, FLOATS, {})
    warehouse.append(table, rows_to_arrow(rows, FLOATS))
    assert warehouse.read(table).to_pylist() == rows


def test_nan_is_refused_before_anything_is_written(warehouse, table):
    warehouse.create(table, FLOATS, {})
    rows = [{"f": 1.0}] * 20_000 + [{"f": float("nan")}]
    with pytest.raises(Unsupported, match="NaN"):
        warehouse.append(table, rows_to_arrow(rows, FLOATS))
    assert warehouse.count(table) == 0


NUMBERS = (Field("i", "INTEGER", Mode.REQUIRED), Field("s", "STRING"))


def numbers(*values):
    return rows_to_arrow([{"i": value, "s": str(value)} for value in values], NUMBERS)


def ids(warehouse, table):
    return sorted(warehouse.read(table).column("i").to_pylist())


def test_many_rows_are_written_in_one_piece(warehouse, url, table):
    warehouse.create(table, NUMBERS, {})
    count = 20_000
    rows = pa.Table.from_arrays(
        [pa.array(range(count)), pa.array(["x" * 10] * count)], schema=arrow_schema(NUMBERS)
    )
    warehouse.append(table, rows)
    assert warehouse.count(table) == count
    staging = httpx.get(
        f"{url}/bigquery/v2/projects/{PROJECT}/datasets/{STAGING_DATASET}/tables", timeout=30
    )
    assert "tables" not in staging.json()


def test_missing_columns_become_null_and_required_ones_are_demanded(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    warehouse.append(table, numbers(1).select(["i"]))
    assert warehouse.read(table).to_pylist() == [{"i": 1, "s": None}]
    with pytest.raises(InvalidData):
        warehouse.append(table, numbers(2).select(["s"]))
    assert ids(warehouse, table) == [1]


def test_replace_is_all_or_nothing(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    warehouse.append(table, numbers(1, 2))
    warehouse.replace(table, numbers(3))
    assert ids(warehouse, table) == [3]
    with pytest.raises(InvalidData):
        warehouse.replace(table, numbers(4).select(["s"]))
    assert ids(warehouse, table) == [3]
    warehouse.replace(table, numbers())
    assert ids(warehouse, table) == []


def test_a_transaction_is_seen_inside_and_gone_if_it_fails(warehouse, table):
    other = TableRef(table.project, table.dataset, "other")
    warehouse.create(table, NUMBERS, {"clustering": {"fields": ["s"]}})
    warehouse.append(table, numbers(1))
    with pytest.raises(ZeroDivisionError), warehouse.transaction():
        warehouse.append(table, numbers(2))
        assert ids(warehouse, table) == [1, 2]
        warehouse.drop(table)
        assert warehouse.schema(table) is None
        warehouse.create(table, FLOATS, {})
        warehouse.append(table, rows_to_arrow([{"f": 1.5}], FLOATS))
        assert warehouse.count(table) == 1
        warehouse.create(other, FLOATS, {})
        raise ZeroDivisionError
    assert ids(warehouse, table) == [1]
    assert warehouse.schema(table) == NUMBERS
    assert warehouse.layout(table) == {"clustering": {"fields": ["s"]}}
    assert warehouse.schema(other) is None


def test_jobs_write_by_it(warehouse, table):
    target = Target(table, Write.TRUNCATE)
    store(warehouse, target, NUMBERS, numbers(1))
    store(warehouse, target, FLOATS, rows_to_arrow([{"f": 1.5}], FLOATS))
    assert warehouse.read(table).to_pylist() == [{"f": 1.5}]


def test_tables_and_their_properties(warehouse, table):
    layout = {"rangePartitioning": {"field": "i", "range": {"start": "0"}}}
    warehouse.create(table, NUMBERS, {**layout, "labels": {"a": "b"}})
    first = warehouse.generation(table)
    assert warehouse.generation(table) == first
    assert warehouse.layout(table) == layout
    warehouse.amend(table, {"description": "of numbers"})
    resource = warehouse.resource(table)
    assert resource["labels"] == {"a": "b"}
    assert resource["description"] == "of numbers"
    assert resource["schema"]["fields"] == [field.to_rest() for field in NUMBERS]
    with pytest.raises(AlreadyExists):
        warehouse.create(table, FLOATS, {})
    assert warehouse.schema(table) == NUMBERS
    warehouse.drop(table)
    assert warehouse.schema(table) is None
    assert warehouse.resource(table) is None
    warehouse.create(table, FLOATS, {})
    assert warehouse.generation(table) != first
    assert warehouse.layout(table) == {}


def test_a_table_without_columns(warehouse, table):
    warehouse.create(table, (), {})
    assert warehouse.schema(table) == ()
    assert warehouse.count(table) == 0
    store(warehouse, Target(table, Write.APPEND), NUMBERS, numbers(1))
    assert ids(warehouse, table) == [1]


def test_fields_are_added_and_rows_stay(warehouse, table):
    before = (Field("i", "INTEGER", Mode.REQUIRED), Field("r", "RECORD", fields=FLOATS))
    warehouse.create(table, before, {"labels": {"a": "b"}})
    warehouse.append(table, rows_to_arrow([{"i": 1, "r": {"f": 1.5}}, {"i": 2}], before))
    wider = (Field("i", "INTEGER"), before[1], Field("tags", "STRING", Mode.REPEATED))
    warehouse.update_schema(table, wider)
    assert warehouse.schema(table) == wider
    deeper = (wider[0], Field("r", "RECORD", fields=(*FLOATS, Field("by", "BYTES"))), wider[2])
    warehouse.update_schema(table, deeper)
    assert warehouse.schema(table) == deeper
    assert sorted(warehouse.read(table).to_pylist(), key=lambda row: row["i"]) == [
        {"i": 1, "r": {"f": 1.5, "by": None}, "tags": []},
        {"i": 2, "r": None, "tags": []},
    ]
    assert warehouse.resource(table)["labels"] == {"a": "b"}


def test_rows_are_selected_by_a_condition(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    warehouse.append(table, numbers(1, 2, 3))
    assert sorted(warehouse.select(table, ["s"], "i > 1").column("s").to_pylist()) == ["2", "3"]
    assert warehouse.select(table, ["i"], "").num_rows == 3
    with pytest.raises(InvalidQuery):
        warehouse.select(table, ["i"], "nope > 1")
    with pytest.raises(NotFound):
        warehouse.select(TableRef(PROJECT, table.dataset, "nope"), ["i"], "")


def test_datasets(warehouse, client, table):
    assert warehouse.has_dataset(PROJECT, table.dataset)
    assert not warehouse.has_dataset(PROJECT, "nope")
    with pytest.raises(AlreadyExists):
        client.create_dataset(PROJECT, table.dataset)
    with pytest.raises(NotFound):
        warehouse.create(TableRef(PROJECT, "nope", "t"), NUMBERS, {})


def test_queries_and_what_they_answer(warehouse, client, table):
    warehouse.create(table, FIELDS, {})
    warehouse.append(table, rows_to_arrow([VALUES], FIELDS))
    result = warehouse.query(PROJECT, "SELECT * FROM `by`", {"datasetId": table.dataset})
    assert result.schema == FIELDS
    assert result.rows.to_pylist() == [VALUES]
    answer = client.query(PROJECT, f"SELECT `ts`, [`ts`] AS `a` FROM `{table.dataset}`.`by`")  # noqa: S608
    response = {
        "schema": {"fields": [field.to_rest() for field in answer.schema]},
        "rows": answer.rows,
    }
    moment = "-62135596799999999"
    cells = rewritten(response, TimestampForm.MICROSECONDS)["rows"][0]["f"]
    assert cells == [{"v": moment}, {"v": [{"v": moment}]}]


def test_tables_and_views_are_replaced(warehouse, table):
    default = {"datasetId": table.dataset}
    warehouse.execute(PROJECT, "CREATE OR REPLACE TABLE `by` AS SELECT 1 AS `i`", default)
    first = warehouse.generation(table)
    replaced = "CREATE OR REPLACE TABLE `by` AS SELECT `i` + 0.5 AS `f` FROM `by`"
    warehouse.execute(PROJECT, replaced, default)
    assert warehouse.read(table).to_pylist() == [{"f": 1.5}]
    assert warehouse.generation(table) != first
    with pytest.raises(InvalidQuery):
        warehouse.execute(PROJECT, "CREATE OR REPLACE TABLE `by` AS SELECT nope", default)
    assert warehouse.read(table).to_pylist() == [{"f": 1.5}]
    for value in (1, 2):
        view = f"CREATE OR REPLACE VIEW v AS SELECT {value} AS `c{value}`"
        warehouse.execute(PROJECT, view, default)
    rows = warehouse.query(PROJECT, "SELECT * FROM v", default).rows
    assert rows.to_pylist() == [{"c2": 2}]


def test_scripts_are_all_or_nothing(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    insert = f"INSERT INTO `{table.dataset}`.`by` (`i`) VALUES (1)"  # noqa: S608
    with pytest.raises(BigQueryError):
        warehouse.execute(PROJECT, f"{insert}; SELECT ERROR('no')")
    assert ids(warehouse, table) == []
    warehouse.execute(PROJECT, f"{insert}; {insert}")
    assert ids(warehouse, table) == [1, 1]


def test_scripts_answer_with_what_their_last_statement_gives(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    path = f"`{table.dataset}`.`by`"
    insert = f"INSERT INTO {path} (`i`) VALUES (7)"  # noqa: S608
    script = f"SELECT 1 AS `x`; {insert}; SELECT `i` FROM {path}"  # noqa: S608
    assert warehouse.execute(PROJECT, script).rows.to_pylist() == [{"i": 7}]
    assert ids(warehouse, table) == [7]


def test_a_table_remade_by_sql_is_another(warehouse, table):
    warehouse.create(table, NUMBERS, {"labels": {"a": "b"}})
    first = warehouse.generation(table)
    path = f"`{table.dataset}`.`by`"
    warehouse.execute(PROJECT, f"DROP TABLE {path}")
    warehouse.execute(PROJECT, f"CREATE TABLE {path} (`i` STRING)")
    assert warehouse.generation(table) != first
    assert warehouse.schema(table) == (Field("i", "STRING"),)
    assert "labels" not in warehouse.resource(table)


def test_no_view_takes_the_place_of_a_table(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    warehouse.append(table, numbers(1))
    default = {"datasetId": table.dataset}
    with pytest.raises(InvalidQuery, match="is a TABLE"):
        warehouse.execute(PROJECT, "CREATE OR REPLACE VIEW `by` AS SELECT 5 AS z", default)
    assert ids(warehouse, table) == [1]
    warehouse.execute(PROJECT, "CREATE VIEW v AS SELECT 1 AS c", default)
    with pytest.raises(InvalidQuery, match="is a VIEW"):
        warehouse.execute(PROJECT, "CREATE OR REPLACE TABLE v AS SELECT 2 AS c", default)
    assert warehouse.query(PROJECT, "SELECT * FROM v", default).rows.to_pylist() == [{"c": 1}]


def test_threads_do_not_mix(warehouse, table):
    warehouse.create(table, NUMBERS, {})
    failures = []
    begun = threading.Barrier(8, timeout=60)

    def work(number: int) -> None:
        begun.wait()
        for step in range(3):
            warehouse.append(table, numbers(number * 10 + step, number * 10 + step))
            seen = ids(warehouse, table)
            if seen.count(number * 10 + step) != 2 or len(seen) % 2:
                failures.append((number, seen))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert failures == []
    assert warehouse.count(table) == 48
