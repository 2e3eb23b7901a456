"""The statements about tables and their rows; names are quoted as `ddl` does."""

from collections.abc import Iterable

from tf_dataflow_serving.services.bigquery.types.schema import Schema
from tf_dataflow_serving.services.bigquery.upstream.ddl import quoted, table_path
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

# S608: a table's path and columns are quoted, and a condition is checked before it comes here.

# Or the name of a table would stand for a whole row, and not for its column of that name.
_ALIAS = "`_rows`"


def select(table: TableRef, schema: Schema, condition: str = "") -> str:
    """SELECT of these columns of the rows that satisfy a condition; "" means every row."""
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {_names(schema)} FROM {table_path(table)} AS {_ALIAS}{where}"  # noqa: S608


def no_rows(table: TableRef) -> str:
    """SELECT of all columns, and of no row."""
    return f"SELECT * FROM {table_path(table)} LIMIT 0"  # noqa: S608


def count(table: TableRef) -> str:
    """SELECT of the number of rows."""
    return f"SELECT COUNT(*) FROM {table_path(table)}"  # noqa: S608


def insert_head(table: TableRef, names: Iterable[str]) -> str:
    """INSERT, up to where the values are to follow."""
    return f"INSERT INTO {table_path(table)} ({', '.join(map(quoted, names))}) VALUES "  # noqa: S608


def delete_all(table: TableRef) -> str:
    """DELETE of all rows."""
    return f"DELETE FROM {table_path(table)} WHERE TRUE"  # noqa: S608


def copy(source: TableRef, made: TableRef) -> str:
    """CREATE TABLE with the rows of another."""
    return f"CREATE TABLE {table_path(made)} AS SELECT * FROM {table_path(source)}"  # noqa: S608


def move(source: TableRef, target: TableRef, schema: Schema) -> str:
    """INSERT of the rows of another table, whose columns these are."""
    return f"INSERT INTO {table_path(target)} ({_names(schema)}) {select(source, schema)}"


def drop(table: TableRef, kind: str = "TABLE") -> str:
    """DROP TABLE or DROP VIEW."""
    return f"DROP {kind} {table_path(table)}"


def _names(schema: Schema) -> str:
    return ", ".join(quoted(field.name) for field in schema)
