"""Names of tables without their dataset, completed.

The other emulator ignores the default dataset of a query: it takes the first table of that name
in any dataset, and answers with its rows.
"""

from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.upstream.ddl import quoted


def qualified(sql: str, dataset: str) -> str:
    """The statements, in which every table is named with its dataset.

    Raises InvalidQuery for a table without one if `dataset` is "". What can't be parsed stays:
    the emulator is to say what is wrong with it.
    """
    try:
        statements = [found for found in sqlglot.parse(sql, read="bigquery") if found is not None]
    except (SqlglotError, RecursionError):
        return sql
    known = {name for statement in statements for name in _own_names(statement)}
    bare = [table for statement in statements for table in _bare_tables(statement, known)]
    starts = sorted({table.this.meta["start"] for table in bare}, reverse=True)
    if starts and not dataset:
        name = bare[0].name
        raise InvalidQuery(f'Table "{name}" must be qualified with a dataset (e.g. dataset.table).')
    for start in starts:
        sql = f"{sql[:start]}{quoted(dataset)}.{sql[start:]}"
    return sql


def _own_names(statement: exp.Expr) -> Iterator[str]:
    """What the statements name themselves: common table expressions, temporary tables."""
    for expression in statement.find_all(exp.CTE):
        yield expression.alias.lower()
    for create in statement.find_all(exp.Create):
        made = create.find(exp.Table)
        if made is not None and create.find(exp.TemporaryProperty) is not None:
            yield made.name.lower()


def _bare_tables(statement: exp.Expr, known: set[str]) -> Iterator[exp.Table]:
    for table in statement.find_all(exp.Table):
        is_bare = isinstance(table.this, exp.Identifier) and not table.db and "." not in table.name
        if is_bare and table.name.lower() not in known and "start" in table.this.meta:
            yield table
