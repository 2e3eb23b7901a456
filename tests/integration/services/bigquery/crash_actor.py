"""Changes one dataset over and over, and knows what must be in it."""

# ruff: noqa: S608 - queries made of constants and numbers
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import httpx

from .crash_states import (
    COLUMNS,
    PROJECT,
    ROOT,
    Request,
    Rows,
    State,
    Table,
    check,
    has_succeeded,
    id_of,
    new_job,
    observed,
    post,
    schema_of,
    upload,
)

TABLES = ("a", "b")


class Actor:
    """Changes one dataset, a request at a time."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.dataset = f"dataset_{number}"
        self.chance = chance
        self.state = State(exists=False)
        self.pending: Request | None = None
        self.last_row = 0
        self.answers = 0

    def run(self, client: httpx.Client, answered: Callable[[], None]) -> None:
        """Go on until the service is gone."""
        while True:
            self.pending = self.next_request()
            try:
                response = self.pending.send(client)
            except httpx.TransportError:
                return
            check(response)
            self.state, self.pending = self.pending.after, None
            self.answers += 1
            answered()

    def settle(self, client: httpx.Client) -> None:
        """Compare what a new service has with what must be there."""
        found = observed(client, self.dataset)
        pending, self.pending = self.pending, None
        if pending is None:
            assert found == self.state.seen()
        elif pending.job:
            succeeded = has_succeeded(client, pending.job)
            self.state = pending.after if succeeded else self.state
            assert found == self.state.seen()
        else:
            assert found in (self.state.seen(), pending.after.seen())
            self.state = pending.after if found == pending.after.seen() else self.state

    def next_request(self) -> Request:
        if not self.state.exists:
            return self.create_dataset()
        steps = [self.label_dataset, self.create_or_delete, self.load, self.replace_by_load]
        steps += [self.create_view, self.drop_view]
        if self.state.tables:
            steps += [self.insert, self.insert, self.copy, self.query_into, self.append_query]
            steps += [self.create_as, self.insert_sql, self.update_sql, self.delete_sql]
            steps += [self.add_column, self.label_table, self.script]
        if self.chance.random() < 0.02:
            return self.delete_dataset()
        return self.chance.choice(steps)()

    # Datasets

    def create_dataset(self) -> Request:
        body = {"datasetReference": {"projectId": PROJECT, "datasetId": self.dataset}}
        return Request(partial(post, f"{ROOT}/datasets", body), State())

    def delete_dataset(self) -> Request:
        path = f"{ROOT}/datasets/{self.dataset}?deleteContents=true"
        return Request(lambda client: client.delete(path), State(exists=False))

    def label_dataset(self) -> Request:
        labels = {"n": str(self.new_row())}
        path = f"{ROOT}/datasets/{self.dataset}"
        after = replace(self.state, labels=tuple(labels.items()))
        return Request(lambda client: client.patch(path, json={"labels": labels}), after)

    # Tables

    def create_or_delete(self) -> Request:
        name = self.chance.choice(TABLES)
        if self.state.table(name):
            path = f"{ROOT}/datasets/{self.dataset}/tables/{name}"
            return Request(lambda client: client.delete(path), self.state.lacking(name))
        body = {"tableReference": self.reference(name), "schema": schema_of(COLUMNS)}
        send = partial(post, f"{ROOT}/datasets/{self.dataset}/tables", body)
        return Request(send, self.state.having(name, Table()))

    def label_table(self) -> Request:
        name, table = self.some_table()
        labels = {"n": str(self.new_row())}
        path = f"{ROOT}/datasets/{self.dataset}/tables/{name}"
        after = self.state.having(name, replace(table, labels=tuple(labels.items())))
        return Request(lambda client: client.patch(path, json={"labels": labels}), after)

    def insert(self) -> Request:
        name, table = self.some_table()
        rows = self.new_rows()
        body = {"rows": [{"json": {"id": str(row), "text": text}} for row, text in rows]}
        path = f"{ROOT}/datasets/{self.dataset}/tables/{name}/insertAll"
        return Request(partial(post, path, body), self.state.having(name, table.plus(rows)))

    # Jobs

    def load(self) -> Request:
        name = self.chance.choice(TABLES)
        table, rows = self.state.table(name) or Table(), self.new_rows()
        return self.load_job(name, "WRITE_APPEND", COLUMNS, rows, table.plus(rows))

    def replace_by_load(self) -> Request:
        name, rows = self.chance.choice(TABLES), self.new_rows()
        table = self.state.table(name)
        columns = self.chance.choice([COLUMNS, (*COLUMNS, "extra")])
        same = table is not None and table.columns == columns
        labels = table.labels if table and same else ()
        after = Table(columns, tuple(sorted(rows)), labels)
        return self.load_job(name, "WRITE_TRUNCATE", columns, rows, after)

    def load_job(
        self, name: str, write: str, columns: tuple[str, ...], rows: Rows, after: Table
    ) -> Request:
        load = {
            "destinationTable": self.reference(name),
            "writeDisposition": write,
            "schema": schema_of(columns),
            "sourceFormat": "NEWLINE_DELIMITED_JSON",
        }
        lines = "".join(json.dumps({"id": row, "text": text}) + "\n" for row, text in rows)
        job = new_job({"load": load})
        send = partial(upload, job, lines.encode())
        return Request(send, self.state.having(name, after), id_of(job))

    def copy(self) -> Request:
        (name, table), target = self.some_table(), self.chance.choice(TABLES)
        if target == name:
            return self.insert()
        former = self.state.table(target)
        labels = former.labels if former and former.columns == table.columns else ()
        copy = {
            "sourceTable": self.reference(name),
            "destinationTable": self.reference(target),
            "writeDisposition": "WRITE_TRUNCATE",
        }
        after = self.state.having(target, replace(table, labels=labels))
        return self.job({"copy": copy}, after)

    def query_into(self) -> Request:
        (name, table), target = self.some_table(), self.chance.choice(TABLES)
        former = self.state.table(target)
        labels = former.labels if former and former.columns == COLUMNS else ()
        made = Table(COLUMNS, table.rows, labels)
        after = self.state.having(target, made)
        return self.query(f"SELECT id, text FROM {self.dataset}.{name}", after, target, "TRUNCATE")

    def append_query(self) -> Request:
        name, table = self.some_table()
        rows = self.new_rows()[:1]
        query = f"SELECT {rows[0][0]} AS id, '{rows[0][1]}' AS text"
        return self.query(query, self.state.having(name, table.plus(rows)), name, "APPEND")

    def create_as(self) -> Request:
        (name, table), target = self.some_table(), self.chance.choice(TABLES)
        query = f"SELECT id, text FROM {self.dataset}.{name}"
        made = Table(COLUMNS, table.rows)
        return self.query(
            f"CREATE OR REPLACE TABLE {self.dataset}.{target} AS {query}",
            self.state.having(target, made),
        )

    def insert_sql(self) -> Request:
        name, table = self.some_table()
        rows = self.new_rows()
        values = ", ".join(f"({row}, '{text}')" for row, text in rows)
        query = f"INSERT INTO {self.dataset}.{name} (id, text) VALUES {values}"
        return self.query(query, self.state.having(name, table.plus(rows)))

    def update_sql(self) -> Request:
        name, table = self.some_table()
        rows = tuple((row, text[-5:] + "!") for row, text in table.rows)
        query = f"UPDATE {self.dataset}.{name} SET text = CONCAT(SUBSTR(text, -5), '!') WHERE TRUE"
        return self.query(query, self.state.having(name, replace(table, rows=rows)))

    def delete_sql(self) -> Request:
        name, table = self.some_table()
        rows = tuple(row for row in table.rows if row[0] % 2)
        query = f"DELETE FROM {self.dataset}.{name} WHERE MOD(id, 2) = 0"
        return self.query(query, self.state.having(name, replace(table, rows=rows)))

    def add_column(self) -> Request:
        name, table = self.some_table()
        if "extra" in table.columns:
            return self.delete_sql()
        query = f"ALTER TABLE {self.dataset}.{name} ADD COLUMN extra STRING"
        after = self.state.having(name, replace(table, columns=(*table.columns, "extra")))
        return self.query(query, after)

    def script(self) -> Request:
        name, table = self.some_table()
        rows = self.new_rows()[:1]
        query = (
            f"DECLARE number INT64 DEFAULT {rows[0][0]};"
            f"INSERT INTO {self.dataset}.{name} (id, text) VALUES (number, '{rows[0][1]}')"
        )
        # A script is no transaction: its job may be unknown though it has done its work.
        return replace(self.query(query, self.state.having(name, table.plus(rows))), job="")

    def create_view(self) -> Request:
        name = self.chance.choice([name for name, _ in self.state.tables] or ["none"])
        if name == "none":
            return self.create_or_delete()
        query = f"CREATE OR REPLACE VIEW {self.dataset}.v AS SELECT id FROM {self.dataset}.{name}"
        return self.query(query, replace(self.state, view=name))

    def drop_view(self) -> Request:
        query = f"DROP VIEW IF EXISTS {self.dataset}.v"
        return self.query(query, replace(self.state, view=None))

    def query(self, query: str, after: State, target: str = "", write: str = "") -> Request:
        configuration: dict[str, Any] = {"query": query, "useLegacySql": False}
        if target:
            configuration["destinationTable"] = self.reference(target)
            configuration["writeDisposition"] = f"WRITE_{write}"
        return self.job({"query": configuration}, after)

    def job(self, configuration: dict[str, Any], after: State) -> Request:
        job = new_job(configuration)
        return Request(partial(post, f"{ROOT}/jobs", job), after, id_of(job))

    # Values

    def some_table(self) -> tuple[str, Table]:
        return self.chance.choice(self.state.tables)

    def new_row(self) -> int:
        self.last_row += 1
        return self.last_row

    def new_rows(self) -> Rows:
        numbers = [self.new_row() for _ in range(self.chance.randint(1, 20))]
        return tuple((number, f"text {number}") for number in numbers)

    def reference(self, table: str) -> dict[str, str]:
        return {"projectId": PROJECT, "datasetId": self.dataset, "tableId": table}
