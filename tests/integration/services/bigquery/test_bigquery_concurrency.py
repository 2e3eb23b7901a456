"""Several threads mix reads, queries, inserts and loads; every answer must be right."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, bigquery_storage

PROJECT = "local-project"
THREADS = 8
ROUNDS = 12
SCHEMA = [bigquery.SchemaField("id", "INTEGER"), bigquery.SchemaField("text", "STRING")]


class Worker:
    """One thread's client; it alone writes to its table, and reads all fixed ones."""

    def __init__(self, dataset: str, number: int) -> None:
        self.client = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())
        self.reader = bigquery_storage.BigQueryReadClient(credentials=AnonymousCredentials())
        self.dataset = f"{PROJECT}.{dataset}"
        self.table = f"{self.dataset}.own_{number}"
        self.client.create_table(bigquery.Table(self.table, SCHEMA))
        self.written: list[int] = []
        self.random = random.Random(number)

    def fixed(self) -> int:
        return self.random.randrange(THREADS)

    def list_rows(self) -> None:
        number = self.fixed()
        ids = [row["id"] for row in self.client.list_rows(f"{self.dataset}.fixed_{number}")]
        assert ids == expected(number)

    def query(self) -> None:
        number = self.fixed()
        query = f"SELECT id, text FROM `{self.dataset}.fixed_{number}` ORDER BY id"  # noqa: S608
        rows = [(row["id"], row["text"]) for row in self.client.query(query).result()]
        assert rows == [(value, f"text {value}") for value in expected(number)]

    def read_stream(self) -> None:
        number = self.fixed()
        table = self.client.get_table(f"{self.dataset}.fixed_{number}")
        ids = self.client.list_rows(table).to_arrow(bqstorage_client=self.reader)["id"].to_pylist()
        assert ids == expected(number)

    def insert(self) -> None:
        values = [self.random.randrange(10**9) for _ in range(5)]
        rows = [{"id": value, "text": f"text {value}"} for value in values]
        assert self.client.insert_rows_json(self.table, rows) == []
        self.written += values
        self.check_own()

    def load(self) -> None:
        value = self.random.randrange(10**9)
        config = bigquery.LoadJobConfig(schema=SCHEMA)
        rows = [{"id": value, "text": f"text {value}"}]
        self.client.load_table_from_json(rows, self.table, job_config=config).result()
        self.written.append(value)
        self.check_own()

    def list_tables(self) -> None:
        names = {table.table_id for table in self.client.list_tables(self.dataset)}
        assert names >= {f"fixed_{number}" for number in range(THREADS)}

    def make_and_drop(self) -> None:
        self.client.query(f"CREATE TABLE `{self.table}_new` AS SELECT 1 AS one").result()
        self.client.delete_table(f"{self.table}_new")

    def check_own(self) -> None:
        ids = sorted(row["id"] for row in self.client.list_rows(self.table))
        assert ids == sorted(self.written)

    def run(self) -> None:
        steps: list[Callable[[], None]] = [
            self.list_rows,
            self.query,
            self.read_stream,
            self.insert,
            self.load,
            self.list_tables,
            self.make_and_drop,
        ]
        for _ in range(ROUNDS):
            self.random.choice(steps)()
        self.check_own()


def expected(number: int) -> list[int]:
    return [number * 1000 + index for index in range(100 + number)]


def test_every_thread_gets_its_own_rows(client: bigquery.Client, dataset: str) -> None:
    config = bigquery.LoadJobConfig(schema=SCHEMA)
    for number in range(THREADS):
        rows = [{"id": value, "text": f"text {value}"} for value in expected(number)]
        table = f"{PROJECT}.{dataset}.fixed_{number}"
        client.load_table_from_json(rows, table, job_config=config).result()
    workers = [Worker(dataset, number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        for running in [pool.submit(worker.run) for worker in workers]:
            running.result()
