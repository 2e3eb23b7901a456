"""Checks the filter of a read session, which is SQL of the client's.

Source: ReadSession.TableReadOptions.row_restriction: "SQL text filtering statement, similar to
a WHERE clause in a query. Aggregates are not supported."
(https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1).
"""

from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.types.schema import Schema

MOST_BYTES = 1024 * 1024

_REFUSED = (exp.Query, exp.AggFunc, exp.Window, exp.Command, exp.Placeholder, exp.Parameter)
_ONLY_WHERE = {"expressions", "where"}
# REGEXP_CONTAINS and the like, which sqlglot has for operators.
_CONDITIONS = (exp.Predicate, exp.Connector, exp.Dot, exp.RegexpLike, exp.RegexpFullMatch)
_PSEUDO_COLUMNS = frozenset({"_partitiontime", "_partitiondate"})


def checked_restriction(text: str, schema: Schema) -> str:
    """The one condition that `text` is, written anew; "" if it is blank.

    Raises InvalidRequest for anything that is not one condition on the columns of `schema`.
    """
    if not text.strip():
        return ""
    if len(text.encode()) > MOST_BYTES:
        raise InvalidRequest("Row filter is longer than 1 MB")
    condition = _parsed(text)
    _check_constructs(condition, text)
    _check_columns(condition, schema)
    _check_boolean(condition, schema)
    return condition.sql(dialect="bigquery", comments=False)


def _parsed(text: str) -> exp.Condition:
    """What follows WHERE; nothing else may follow."""
    try:
        statements: list[Any] = list(sqlglot.parse(f"SELECT 1 WHERE {text}", read="bigquery"))
    except (SqlglotError, RecursionError) as error:
        raise _invalid(text, str(error).partition("\n")[0]) from error
    clauses = {name: clause for name, clause in statements[0].args.items() if clause}
    condition = clauses["where"].this if clauses.keys() == _ONLY_WHERE else None
    if len(statements) != 1 or not isinstance(condition, exp.Condition):
        raise _invalid(text, "it is not one condition")
    return condition


def _check_constructs(condition: exp.Condition, text: str) -> None:
    refused = condition.find(*_REFUSED)
    if refused is not None:
        raise _invalid(text, f"{refused.key.upper()} is not supported in a row filter")


def _check_columns(condition: exp.Condition, schema: Schema) -> None:
    known = {field.name.lower() for field in schema} | _PSEUDO_COLUMNS
    for column in condition.find_all(exp.Column):
        # A field of a record is parsed as the column of a table.
        first = column.parts[0].name
        if first.lower() not in known:
            raise InvalidRequest(f"request failed: Unrecognized name: {first}", first)


def _check_boolean(restriction: exp.Condition, schema: Schema) -> None:
    """Refuse a column or a constant, which the database would convert."""
    condition = restriction.unnest()
    types = {field.name.lower(): field.type for field in schema}
    is_other = isinstance(condition, exp.Literal | exp.Binary) and not isinstance(
        condition, _CONDITIONS
    )
    if isinstance(condition, exp.Column) and len(condition.parts) == 1:
        is_other = types.get(condition.name.lower(), "BOOLEAN") != "BOOLEAN"
    if is_other:
        raise InvalidRequest("request failed: Row filter should return type BOOL")


def _invalid(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"request failed: Row filter for table is invalid: {why}. Filter: {text}")
