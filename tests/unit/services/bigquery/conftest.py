"""A warehouse of Arrow tables, for the domain's tests."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pyarrow as pa
import pytest

from tf_dataflow_serving.services.bigquery.types.schema import Schema, arrow_schema
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

PROJECT, DATASET = "project", "dataset"


class ArrowWarehouse:
    """Tables in memory; one dataset exists."""

    def __init__(self) -> None:
        self.schemas: dict[TableRef, Schema] = {}
        self.layouts: dict[TableRef, Mapping[str, Any]] = {}
        self.rows: dict[TableRef, pa.Table] = {}
        self.made = 0
        self.restrictions: list[str] = []

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def has_dataset(self, project: str, dataset: str) -> bool:
        return (project, dataset) == (PROJECT, DATASET)

    def schema(self, table: TableRef) -> Schema | None:
        return self.schemas.get(table)

    def layout(self, table: TableRef) -> Mapping[str, Any]:
        return self.layouts[table]

    def generation(self, table: TableRef) -> str:  # noqa: ARG002
        return str(self.made)

    def count(self, table: TableRef) -> int:
        return int(self.rows[table].num_rows)

    def read(self, table: TableRef) -> pa.Table:
        return self.rows[table]

    def select(self, table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
        self.restrictions.append(restriction)
        return self.rows[table].select(list(columns))

    def create(self, table: TableRef, schema: Schema, layout: Mapping[str, Any]) -> None:
        assert table not in self.schemas
        self.made += 1
        self.schemas[table] = schema
        self.layouts[table] = layout
        self.rows[table] = arrow_schema(schema).empty_table()

    def update_schema(self, table: TableRef, schema: Schema) -> None:
        rows = self.rows[table]
        self.schemas[table] = schema
        self.rows[table] = arrow_schema(schema).empty_table()
        self.append(table, rows)

    def append(self, table: TableRef, rows: pa.Table) -> None:
        wanted = arrow_schema(self.schemas[table])
        columns = [
            rows.column(field.name).cast(field.type)
            if field.name in rows.column_names
            else pa.nulls(rows.num_rows, field.type)
            for field in wanted
        ]
        fitting = pa.Table.from_arrays(columns, schema=wanted)
        self.rows[table] = pa.concat_tables([self.rows[table], fitting])

    def replace(self, table: TableRef, rows: pa.Table) -> None:
        self.rows[table] = arrow_schema(self.schemas[table]).empty_table()
        self.append(table, rows)

    def drop(self, table: TableRef) -> None:
        del self.schemas[table], self.rows[table], self.layouts[table]


@pytest.fixture
def warehouse() -> ArrowWarehouse:
    return ArrowWarehouse()
