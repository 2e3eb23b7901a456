"""The `Warehouse` whose tables live in another BigQuery emulator."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery, NotFound, Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import (
    Field,
    Mode,
    Schema,
    arrow_type,
    schema_from_rest,
)
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow
from tf_dataflow_serving.services.bigquery.upstream import statements
from tf_dataflow_serving.services.bigquery.upstream.cells import decoded
from tf_dataflow_serving.services.bigquery.upstream.changes import Changes
from tf_dataflow_serving.services.bigquery.upstream.client import Answer, UpstreamClient
from tf_dataflow_serving.services.bigquery.upstream.ddl import PLACEHOLDER, create_statement
from tf_dataflow_serving.services.bigquery.upstream.history import QueryResult
from tf_dataflow_serving.services.bigquery.upstream.literals import insert_statements
from tf_dataflow_serving.services.bigquery.upstream.properties import (
    LAYOUT,
    TableProperties,
    merged,
)
from tf_dataflow_serving.services.bigquery.upstream.qualifying import qualified
from tf_dataflow_serving.services.bigquery.upstream.replacing import Kind, Replacement
from tf_dataflow_serving.services.bigquery.upstream.scripts import Script
from tf_dataflow_serving.services.bigquery.upstream.staging import (
    staged,
    staged_copy,
    staged_rows,
)
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

# What one script may hold: the emulator parses it as a whole, in memory.
_DIRECT_STATEMENTS = 16


class UpstreamWarehouse:
    """Tables in the emulator that `client` talks to; may be used in any thread.

    Its own transactions exclude each other, and reads of other threads wait for them. What goes
    to the emulator by another way may see a table that a transaction made before it has its rows.
    """

    def __init__(self, client: UpstreamClient) -> None:
        self.properties = TableProperties()
        self._client = client
        self._lock = threading.RLock()
        self._open: Changes | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are kept together, or none if it raises."""
        with self._changes():
            yield

    def has_dataset(self, project: str, dataset: str) -> bool:
        """Whether a dataset exists."""
        with self._lock:
            return self._client.dataset(project, dataset) is not None

    def schema(self, table: TableRef) -> Schema | None:
        """The schema of a table; None if there is no such table."""
        with self._lock:
            try:
                found = self._rows(table, statements.no_rows(table)).schema
            except NotFound:
                return None
            return _declared(found, self._kept(table))

    def generation(self, table: TableRef) -> str:
        """When the table was made, in seconds, and how many of its name were made here before."""
        with self._lock:
            return f"{self._made(table)}-{self.properties.changes(table)}"

    def layout(self, table: TableRef) -> Mapping[str, Any]:
        """`timePartitioning`, `rangePartitioning` and `clustering` of a table, in REST form."""
        with self._lock:
            kept = self._kept(table)
        return {name: kept[name] for name in LAYOUT if name in kept}

    def resource(self, table: TableRef) -> dict[str, Any] | None:
        """The Table resource, with what the emulator does not keep; None if there is none."""
        with self._lock:
            resource = self._client.table(table)
            return None if resource is None else merged(resource, self._kept(table))

    def amend(self, table: TableRef, properties: Mapping[str, Any]) -> None:
        """Keep properties of a table, in REST form, beside those that are kept."""
        with self._lock:
            made = self._made(table)
            self.properties.set(table, made, {**self.properties.get(table, made), **properties})

    def count(self, table: TableRef) -> int:
        """The number of rows of a table."""
        with self._lock:
            answer = self._rows(table, statements.count(table))
        return int(answer.rows[0]["f"][0]["v"])

    def read(self, table: TableRef) -> pa.Table:
        """All rows of a table, in columns of the types of `arrow_schema`."""
        with self._lock:
            schema = self.schema(table) or ()
            return self._selected(table, schema, "")

    def select(self, table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
        """These columns of the rows that satisfy a condition; "" means every row."""
        with self._lock:
            schema = self.schema(table)
            if schema is None:
                raise NotFound(f"Not found: Table {table}")
            wanted = tuple(field for field in schema if field.name in columns)
            return self._selected(table, wanted, restriction)

    def create(self, table: TableRef, schema: Schema, layout: Mapping[str, Any]) -> None:
        """Make an empty table; `layout` may hold other properties too, in REST form."""
        fields = [field.to_rest() for field in schema]
        with self._changes() as changes:
            self._make(table, schema, {**layout, "schema": {"fields": fields}})
            changes.undone_by(lambda: self._remove(table))

    def append(self, table: TableRef, rows: pa.Table) -> None:
        """Add rows; columns that `rows` lacks become null."""
        with self._changes() as changes:
            self._insert(changes, table, rows)

    def replace(self, table: TableRef, rows: pa.Table) -> None:
        """Put rows in the place of all that are there."""
        with self._changes() as changes:
            changes.discard(table)
            changes.add(table, [statements.delete_all(table)])
            self._insert(changes, table, rows)

    def drop(self, table: TableRef) -> None:
        """Delete a table."""
        with self._lock:
            alone = self._open is None
            with self._changes() as changes:
                changes.discard(table)
                if not alone:
                    self._set_aside(changes, table)
                self._remove(table)

    def query(
        self, project: str, sql: str, default_dataset: Mapping[str, Any] | None = None
    ) -> QueryResult:
        """What a statement that changes nothing gives."""
        dataset = str((default_dataset or {}).get("datasetId", ""))
        with self._lock:
            answer = self._client.query(project, qualified(sql, dataset))
        return _result(answer)

    def execute(
        self, project: str, sql: str, default_dataset: Mapping[str, Any] | None = None
    ) -> QueryResult | None:
        """Run statements that change something, all of them or none; None if they give no rows.

        Raises Unsupported for ALTER, which the emulator takes and does not do.
        """
        dataset = str((default_dataset or {}).get("datasetId", ""))
        with self._lock:
            statement = qualified(sql, dataset)
            replacement = Replacement.parse(statement, project)
            if replacement is None:
                return self._run(project, statement)
            self._put(replacement)
            return None

    def _run(self, project: str, statements: str) -> QueryResult | None:
        script = Script.parse(statements)
        if "ALTER" in script.words:
            raise Unsupported("ALTER statements are not supported: tables.patch adds fields")
        answer = self._client.execute(project, statements)
        for table in script.remade(project):
            self.properties.forget(table)
        return _result(answer) if answer.schema else None

    def _put(self, replacement: Replacement) -> None:
        """Make a table or view in the place of one that is there, which its query may read."""
        table = replacement.table
        with self._changes() as changes:
            found = self._client.table(table)
            if found is not None and found["type"] != replacement.kind:
                message = f"{table} is a {found['type']}, not a {replacement.kind}"
                raise InvalidQuery(message)
            made = staged(self._client, changes, table.project, replacement)
            if found is not None:
                if replacement.kind is Kind.TABLE:
                    self._set_aside(changes, table)
                self._client.execute(table.project, statements.drop(table, str(found["type"])))
                self.properties.forget(table)
            final = replacement.as_create(table)
            if replacement.kind is Kind.TABLE:
                final = statements.copy(made, table)
            self._client.execute(table.project, final)

    def update_schema(self, table: TableRef, schema: Schema) -> None:
        """Add fields to a table, in records too, or relax REQUIRED ones; its rows stay.

        The emulator alters no record, and shows no altered column: the table is made anew.
        """
        with self._changes() as changes:
            before, kept = self.schema(table) or (), self._kept(table)
            copy = self._set_aside(changes, table)
            self._remove(table)
            self.create(table, schema, kept)
            changes.begin_with(table, self._returning(copy, table, before, schema))

    @contextmanager
    def _changes(self) -> Iterator[Changes]:
        """The transaction that is open, or one of its own."""
        with self._lock:
            if self._open is not None:
                yield self._open
                return
            self._open = changes = Changes()
            try:
                yield changes
                self._commit(changes)
            except BaseException:
                changes.undo()
                raise
            finally:
                self._open = None
                changes.clean_up()

    def _commit(self, changes: Changes) -> None:
        script = changes.script()
        if script:
            self._client.execute(changes.project, script)

    def _rows(self, table: TableRef, query: str) -> Answer:
        """What a query gives, as the open transaction would leave the tables."""
        script = query if self._open is None else self._open.script(query)
        return self._client.query(table.project, script)

    def _selected(self, table: TableRef, schema: Schema, condition: str) -> pa.Table:
        query = statements.select(table, schema, condition)
        rows = self._rows(table, query).rows if schema else []
        return rows_to_arrow(decoded(rows, schema), schema)

    def _insert(self, changes: Changes, table: TableRef, rows: pa.Table) -> None:
        schema = self.schema(table)
        if schema is None:
            raise NotFound(f"Not found: Table {table}")
        if not rows.num_rows or not rows.num_columns:
            return
        inserts = insert_statements(table, schema, rows)
        direct = list(islice(inserts, _DIRECT_STATEMENTS + 1))
        if len(direct) > _DIRECT_STATEMENTS:
            direct = [self._moved(changes, table, schema, rows)]
        changes.add(table, direct)

    def _moved(self, changes: Changes, table: TableRef, schema: Schema, rows: pa.Table) -> str:
        """Write many rows to a table of their own; returns the statement that moves them."""
        wanted = tuple(field for field in schema if field.name in rows.column_names)
        source = staged_rows(
            self._client,
            changes,
            table.project,
            wanted,
            lambda staging: insert_statements(staging, wanted, rows),
        )
        return statements.move(source, table, wanted)

    def _set_aside(self, changes: Changes, table: TableRef) -> TableRef:
        """Copy a table that is to be dropped, so that it can be made again as it is."""
        schema, kept = self.schema(table) or (), self._kept(table)
        copy = staged_copy(self._client, changes, table)

        def put_back() -> None:
            self._make(table, schema, kept)
            move = statements.move(copy, table, schema or (PLACEHOLDER,))
            self._client.execute(table.project, move)

        changes.undone_by(put_back)
        return copy

    def _returning(
        self, copy: TableRef, table: TableRef, before: Schema, schema: Schema
    ) -> Iterable[str]:
        """The statements that put the rows of a copy in a table with more fields."""
        if not before:
            return ()
        if _has_columns(schema, before):
            return [statements.move(copy, table, before)]
        query = statements.select(copy, before)
        rows = rows_to_arrow(decoded(self._client.query(table.project, query).rows, before), before)
        return insert_statements(table, schema, rows)

    def _make(self, table: TableRef, schema: Schema, properties: Mapping[str, Any]) -> None:
        # Without a dataset the emulator would make half a table, and refuse the name ever after.
        if self._client.dataset(table.project, table.dataset) is None:
            raise NotFound(f"Not found: Dataset {table.project}:{table.dataset}")
        self._client.execute(table.project, create_statement(table, schema))
        self.properties.set(table, self._made(table), properties)

    def _remove(self, table: TableRef) -> None:
        self._client.execute(table.project, statements.drop(table))
        self.properties.forget(table)

    def _made(self, table: TableRef) -> str:
        return str((self._client.table(table) or {}).get("creationTime", ""))

    def _kept(self, table: TableRef) -> Mapping[str, Any]:
        return self.properties.get(table, self._made(table))


def _has_columns(schema: Schema, others: Schema) -> bool:
    """Whether columns are there with the same types, whatever their modes."""
    known = {field.name: arrow_type(field) for field in schema}
    return all(known.get(field.name) == arrow_type(field) for field in others)


def _declared(found: Schema, kept: Mapping[str, Any]) -> Schema:
    """The columns that there are, as they were declared: the emulator tells no REQUIRED."""
    if found == (PLACEHOLDER,):
        return ()
    fields = schema_from_rest((kept.get("schema") or {}).get("fields") or ())
    declared = {field.name: field for field in fields}
    return tuple(_best_known(field, declared.get(field.name, field)) for field in found)


def _best_known(found: Field, declared: Field) -> Field:
    """A column as it was declared; as it is found, if it is another since."""
    return declared if _form(found) == _form(declared) else found


def _form(field: Field) -> tuple[Any, ...]:
    """What the emulator tells of a field."""
    children = [_form(child) for child in field.fields]
    return field.name, field.type, field.mode is Mode.REPEATED, children


def _result(answer: Answer) -> QueryResult:
    rows = rows_to_arrow(decoded(answer.rows, answer.schema), answer.schema)
    return QueryResult(answer.schema, rows)
