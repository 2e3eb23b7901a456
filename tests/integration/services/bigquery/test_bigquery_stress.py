"""Sixteen threads do everything at once; every answer must be right.

For a longer run, set STRESS_SECONDS to its length, such as 60.
"""
# ruff: noqa: S608 - queries made of constants and numbers

import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, bigquery_storage, storage

PROJECT = "local-project"
THREADS = 16
# A fixed number of steps, or as many as fit into the time that is asked for.
STEPS = 12
SECONDS = float(os.environ.get("STRESS_SECONDS", "0"))
FIXED = 4
ANSWER_SECONDS = 120
SCHEMA = [bigquery.SchemaField("id", "INTEGER"), bigquery.SchemaField("text", "STRING")]

Row = tuple[int, str]


def expected(number: int) -> list[Row]:
    return [(number * 1000 + index, f"text {index}") for index in range(100 + number)]


def json_lines(rows: list[Row]) -> str:
    return "".join(json.dumps({"id": row, "text": text}) + "\n" for row, text in rows)


def refuse_server_errors(response: Any, *_: object, **__: object) -> None:
    """Clients would try again, and nobody would know."""
    assert response.status_code < 500, response.text


class Worker:
    """One thread's clients; it alone changes its tables, and all add to what is shared."""

    def __init__(self, dataset: str, bucket: str, number: int) -> None:
        self.client = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())
        self.client._http.hooks["response"].append(refuse_server_errors)
        self.reader = bigquery_storage.BigQueryReadClient(credentials=AnonymousCredentials())
        objects = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
        objects._http.hooks["response"].append(refuse_server_errors)
        self.bucket = objects.bucket(bucket)
        self.dataset = f"{PROJECT}.{dataset}"
        self.own = f"{self.dataset}.own_{number}"
        self.prefix = f"thread-{number}"
        self.random = random.Random(number)
        self.numbers = itertools.count(number * 10**9)
        self.rows: list[Row] = []
        self.shared: list[int] = []
        self.increments = 0
        self.done = 0

    def run(self, until: float) -> None:
        self.client.create_table(bigquery.Table(self.own, SCHEMA))
        steps = self.steps()
        while time.monotonic() < until or self.done < STEPS:
            self.random.choice(steps)()
            self.done += 1
        self.check_own()

    def steps(self) -> list[Callable[[], None]]:
        reading = [self.list_rows, self.query, self.query_with_parameters, self.read_stream]
        reading += [self.extract, self.list_tables, self.object_round_trip]
        writing = [self.insert, self.load, self.load_object, self.copy, self.query_into]
        writing += [self.insert_sql, self.update_sql, self.delete_sql, self.make_and_drop]
        return [*reading, *writing, self.add_to_shared, self.increment]

    # What reads

    def fixed(self) -> tuple[str, list[Row]]:
        number = self.random.randrange(FIXED)
        return f"{self.dataset}.fixed_{number}", expected(number)

    def list_rows(self) -> None:
        table, rows = self.fixed()
        assert pairs(self.client.list_rows(table, page_size=37)) == rows

    def query(self) -> None:
        table, rows = self.fixed()
        assert self.answer(f"SELECT id, text FROM `{table}` ORDER BY id") == rows

    def query_with_parameters(self) -> None:
        table, rows = self.fixed()
        wanted = self.random.choice(rows)
        parameter = bigquery.ScalarQueryParameter("wanted", "INT64", wanted[0])
        config = bigquery.QueryJobConfig(query_parameters=[parameter])
        query = f"SELECT id, text FROM `{table}` WHERE id = @wanted"
        assert pairs(self.client.query(query, config).result(timeout=ANSWER_SECONDS)) == [wanted]

    def read_stream(self) -> None:
        table, rows = self.fixed()
        found = self.client.list_rows(self.client.get_table(table))
        columns = found.to_arrow(bqstorage_client=self.reader).to_pydict()
        assert sorted(zip(columns["id"], columns["text"], strict=True)) == rows

    def extract(self) -> None:
        table, rows = self.fixed()
        blob = self.bucket.blob(f"{self.prefix}/extracted-{next(self.numbers)}")
        config = bigquery.ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
        uri = f"gs://{self.bucket.name}/{blob.name}"
        self.client.extract_table(table, uri, job_config=config).result(timeout=ANSWER_SECONDS)
        found = [json.loads(line) for line in blob.download_as_text().splitlines()]
        assert sorted((int(row["id"]), row["text"]) for row in found) == rows
        blob.delete()

    def list_tables(self) -> None:
        names = {table.table_id for table in self.client.list_tables(self.dataset)}
        assert names >= {f"fixed_{number}" for number in range(FIXED)}

    def object_round_trip(self) -> None:
        content = self.random.randbytes(self.random.randrange(300_000))
        blob = self.bucket.blob(f"{self.prefix}/object", chunk_size=256 * 1024)
        blob.upload_from_string(content)
        assert blob.download_as_bytes() == content

    # What writes to this thread's table

    def insert(self) -> None:
        rows = self.new_rows()
        records = [{"id": row, "text": text} for row, text in rows]
        assert self.client.insert_rows_json(self.own, records) == []
        self.rows += rows
        self.check_own()

    def load(self) -> None:
        rows = self.new_rows()
        records = [{"id": row, "text": text} for row, text in rows]
        config = bigquery.LoadJobConfig(schema=SCHEMA)
        job = self.client.load_table_from_json(records, self.own, job_config=config)
        assert job.result(timeout=ANSWER_SECONDS).output_rows == len(rows)
        self.rows += rows

    def load_object(self) -> None:
        rows = self.new_rows()
        blob = self.bucket.blob(f"{self.prefix}/load-{next(self.numbers)}")
        blob.upload_from_string(json_lines(rows))
        config = bigquery.LoadJobConfig(schema=SCHEMA, source_format="NEWLINE_DELIMITED_JSON")
        uri = f"gs://{self.bucket.name}/{blob.name}"
        job = self.client.load_table_from_uri(uri, self.own, job_config=config)
        job.result(timeout=ANSWER_SECONDS)
        self.rows += rows

    def copy(self) -> None:
        table, rows = self.fixed()
        config = bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
        self.client.copy_table(table, self.own, job_config=config).result(timeout=ANSWER_SECONDS)
        self.rows = list(rows)
        self.check_own()

    def query_into(self) -> None:
        table, rows = self.fixed()
        write = self.random.choice(["WRITE_TRUNCATE", "WRITE_APPEND"])
        config = bigquery.QueryJobConfig(destination=self.own, write_disposition=write)
        self.client.query(f"SELECT * FROM `{table}`", config).result(timeout=ANSWER_SECONDS)
        self.rows = rows if write == "WRITE_TRUNCATE" else self.rows + rows
        self.check_own()

    def insert_sql(self) -> None:
        rows = self.new_rows()
        values = ", ".join(f"({row}, '{text}')" for row, text in rows)
        self.change(f"INSERT INTO `{self.own}` (id, text) VALUES {values}", len(rows))
        self.rows += rows

    def update_sql(self) -> None:
        text = f"text {next(self.numbers)}"
        self.change(f"UPDATE `{self.own}` SET text = '{text}' WHERE TRUE", len(self.rows))
        self.rows = [(row, text) for row, _ in self.rows]

    def delete_sql(self) -> None:
        left = [row for row in self.rows if row[0] % 2]
        gone = len(self.rows) - len(left)
        self.change(f"DELETE FROM `{self.own}` WHERE MOD(id, 2) = 0", gone)
        self.rows = left
        self.check_own()

    def make_and_drop(self) -> None:
        table, rows = self.fixed()
        made = f"{self.own}_made"
        self.change(f"CREATE TABLE `{made}` AS SELECT * FROM `{table}`", None)
        assert self.answer(f"SELECT COUNT(*), '' FROM `{made}`") == [(len(rows), "")]
        self.client.delete_table(made)

    # What all write to

    def add_to_shared(self) -> None:
        number = next(self.numbers)
        table = f"{self.dataset}.shared"
        if self.random.random() < 0.5:
            self.change(f"INSERT INTO `{table}` (id, text) VALUES ({number}, '')", 1)
        else:
            assert self.client.insert_rows_json(table, [{"id": number, "text": ""}]) == []
        self.shared.append(number)

    def increment(self) -> None:
        self.change(f"UPDATE `{self.dataset}.counter` SET id = id + 1 WHERE TRUE", 1)
        self.increments += 1

    # Helpers

    def new_rows(self) -> list[Row]:
        count = self.random.randint(1, 20)
        return [(number, f"text {number}") for number in itertools.islice(self.numbers, count)]

    def answer(self, query: str) -> list[Row]:
        return pairs(self.client.query(query).result(timeout=ANSWER_SECONDS))

    def change(self, query: str, rows: int | None) -> None:
        job = self.client.query(query)
        job.result(timeout=ANSWER_SECONDS)
        assert rows is None or job.num_dml_affected_rows == rows

    def check_own(self) -> None:
        assert sorted(pairs(self.client.list_rows(self.own))) == sorted(self.rows)


def pairs(rows: Any) -> list[Row]:
    return [(row[0], row[1]) for row in rows]


@pytest.fixture
def tables(client: bigquery.Client, dataset: str) -> Iterator[str]:
    """A dataset with the tables that are read and those that all write to."""
    contents = {f"fixed_{number}": expected(number) for number in range(FIXED)}
    contents |= {"shared": [(-1, "")], "counter": [(0, "")]}
    config = bigquery.LoadJobConfig(schema=SCHEMA)
    for name, rows in contents.items():
        records = [{"id": row, "text": text} for row, text in rows]
        client.load_table_from_json(records, f"{dataset}.{name}", job_config=config).result()
    yield dataset


def test_every_answer_is_right(
    client: bigquery.Client, tables: str, bucket: storage.Bucket
) -> None:
    workers = [Worker(tables, bucket.name, number) for number in range(THREADS)]
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(THREADS) as pool:
        for running in [pool.submit(worker.run, until) for worker in workers]:
            running.result()
    shared = sorted([-1, *(number for worker in workers for number in worker.shared)])
    assert sorted(row["id"] for row in client.list_rows(f"{tables}.shared")) == shared
    increments = sum(worker.increments for worker in workers)
    assert [row["id"] for row in client.list_rows(f"{tables}.counter")] == [increments]
    print(f"{sum(worker.done for worker in workers)} steps")  # noqa: T201
