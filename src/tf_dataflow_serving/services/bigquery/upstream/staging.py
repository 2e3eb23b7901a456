"""Tables that are there while a transaction runs."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import uuid4

from tf_dataflow_serving.services.bigquery.errors import AlreadyExists
from tf_dataflow_serving.services.bigquery.types.schema import Schema
from tf_dataflow_serving.services.bigquery.upstream import statements
from tf_dataflow_serving.services.bigquery.upstream.changes import Changes
from tf_dataflow_serving.services.bigquery.upstream.client import UpstreamClient
from tf_dataflow_serving.services.bigquery.upstream.ddl import create_statement
from tf_dataflow_serving.services.bigquery.upstream.replacing import Replacement
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

Inserts = Callable[[TableRef], Iterable[str]]

STAGING_DATASET = "_dataflow_serving_staging"
"""Where they are; to be left out of what clients list."""


def staged_rows(
    client: UpstreamClient, changes: Changes, project: str, schema: Schema, rows: Inserts
) -> TableRef:
    """A new table with rows, of which `rows` makes the statements that insert them."""
    table = _new_table(client, project)
    client.execute(project, create_statement(table, schema))
    changes.cleaned_up_by(lambda: client.execute(project, statements.drop(table)))
    for statement in rows(table):
        client.execute(project, statement)
    return table


def staged_copy(client: UpstreamClient, changes: Changes, source: TableRef) -> TableRef:
    """A new table with the rows that another has now."""
    table = _new_table(client, source.project)
    client.execute(source.project, statements.copy(source, table))
    changes.cleaned_up_by(lambda: client.execute(source.project, statements.drop(table)))
    return table


def staged(
    client: UpstreamClient, changes: Changes, project: str, replacement: Replacement
) -> TableRef:
    """A new table or view that a CREATE OR REPLACE statement makes, instead of its own."""
    table = _new_table(client, project)
    client.execute(project, replacement.as_create(table))
    drop = statements.drop(table, replacement.kind)
    changes.cleaned_up_by(lambda: client.execute(project, drop))
    return table


def _new_table(client: UpstreamClient, project: str) -> TableRef:
    with suppress(AlreadyExists):
        client.create_dataset(project, STAGING_DATASET)
    return TableRef(project, STAGING_DATASET, f"rows_{uuid4().hex}")
