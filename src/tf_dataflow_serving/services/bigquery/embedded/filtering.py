"""The rows of a table that a condition leaves, as SQL of DuckDB's."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import DomainError
from bqemulator.domain.result import Err
from bqemulator.row_access.identity import DEFAULT_CALLER, CallerIdentity
from bqemulator.sql.catalog_schema import build_catalog_schema
from bqemulator.sql.rewriter.row_access_filter import rewrite_for_row_access
from bqemulator.sql.table_rewriter import rewrite_table_refs
from bqemulator.sql.translator import SQLTranslator

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

_CALLER = CallerIdentity(principal=DEFAULT_CALLER, is_authenticated=False)


def filtered(context: AppContext, table: TableRef, restriction: str) -> str:
    """A SELECT of all columns; row access policies hold as for queries. Raises InvalidQuery."""
    where = f" WHERE {restriction}" if restriction else ""
    statement = f"SELECT * FROM `{table.project}`.`{table.dataset}`.`{table.table}`{where}"  # noqa: S608
    try:
        allowed = rewrite_for_row_access(
            statement, project_id=table.project, caller=_CALLER, catalog=context.catalog
        )
        return _translated(context, table, allowed)
    except DomainError as error:
        raise InvalidQuery(f"request failed: {error.message}") from error


def _translated(context: AppContext, table: TableRef, statement: str) -> str:
    schema = build_catalog_schema(statement, project_id=table.project, catalog=context.catalog)
    result = SQLTranslator().translate(statement, schema=schema or None, caller=_CALLER)
    if isinstance(result, Err):
        raise result.error
    return str(rewrite_table_refs(result.value, table.project))


@contextmanager
def failures_told() -> Iterator[None]:
    """Raise InvalidQuery for a condition that DuckDB can't evaluate."""
    try:
        yield
    except duckdb.Error as error:
        raise InvalidQuery(f"request failed: {error}") from error
