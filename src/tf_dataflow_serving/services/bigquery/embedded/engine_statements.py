"""How bqemulator runs statements of SQL: each in a transaction, and none in the way of others.

Beside `engine`, this module reaches into bqemulator 1.4; what is wrapped in place is listed in
`WRAPPED`, and a test fails when one of these names goes.
"""

import asyncio
import functools
import re
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any

import pyarrow as pa
import sqlglot
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs as jobs_route
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.models import JobMeta, TableMeta, TableSchema
from bqemulator.domain.errors import NotFoundError
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.jobs import executor
from bqemulator.scripting.interpreter import ScriptInterpreter
from sqlglot import exp

from tf_dataflow_serving.services.bigquery.embedded.transactions import at_once
from tf_dataflow_serving.services.bigquery.retention import compacted
from tf_dataflow_serving.services.bigquery.types.columns import identifier

WRAPPED = (
    (jobs_route, "execute_query_job"),
    (executor, "_run_single_sql"),
    (executor, "_run_script"),
    (ScriptInterpreter, "_exec_sql"),
    (ScriptInterpreter, "_run_statement_with_params"),
)
SESSION_CHECK = (jobs_route, "_validate_session_id")
# A script commits statement by statement; SELECT changes nothing.
_NOT_ATOMIC = frozenset({"", "SCRIPT", "SELECT"})
_SHORT_DEFAULT_STREAM = re.compile(r"(/tables/[^/]+)/_default$")

_in_session: ContextVar[bool] = ContextVar("in_session", default=False)

QueryRunner = Callable[..., Coroutine[Any, Any, JobMeta]]


def run_statements_atomically() -> None:
    """Let each statement of SQL, what the catalog tells of it, and its job be one transaction."""
    for owner, name in WRAPPED:
        original = getattr(owner, name)
        # A second service in the same process finds them wrapped.
        if not hasattr(original, "__wrapped__"):
            setattr(owner, name, _WRAPPERS[name](original))
    check = getattr(*SESSION_CHECK)
    if not hasattr(check, "__wrapped__"):
        setattr(*SESSION_CHECK, _noting_the_session(check))


def _noting_the_session(check: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    """Remember whether a query belongs to a session: the code that runs it is not told."""

    @functools.wraps(check)
    def checked(query: dict[str, Any]) -> None:
        check(query)
        keys = {entry.get("key") for entry in query.get("connectionProperties") or ()}
        _in_session.set(bool(query.get("createSession")) or "session_id" in keys)

    return checked


def _ending_its_tables(original: Callable[..., Any]) -> Callable[..., Any]:
    """Drop a script's temporary tables, which are in the event loop's connection, at its end.

    bqemulator never does, so that a script with one fails when it is run again.
    """

    @functools.wraps(original)
    async def run(interpreter: ScriptInterpreter, sql: str, ctx: AppContext) -> pa.Table:
        before = _temporary_tables(ctx)
        try:
            return await original(interpreter, sql, ctx)
        finally:
            made = () if _in_session.get() else _temporary_tables(ctx) - before
            for kind, name in made:
                ctx.engine.execute(f"DROP {kind} IF EXISTS temp.main.{identifier(name)}")

    return run


def _temporary_tables(ctx: AppContext) -> set[tuple[str, str]]:
    """Pairs of TABLE or VIEW, and a name."""
    found = ctx.engine.execute(
        "SELECT 'TABLE', table_name FROM duckdb_tables() WHERE temporary "
        "UNION SELECT 'VIEW', view_name FROM duckdb_views() WHERE temporary AND NOT internal"
    )
    return set(found.fetchall())


def _atomic_job(original: QueryRunner) -> QueryRunner:
    @functools.wraps(original)
    async def run(
        project: str, job: str, sql: str, parameters: Any, ctx: AppContext, **named: Any
    ) -> JobMeta:
        work = original(project, job, sql, parameters, ctx, **named)
        if executor.classify_statement_type(sql) in _NOT_ATOMIC:
            return await work
        with ctx.engine.transactions.transaction():
            # A client that was not answered asks for its job, and must not find it undone.
            meta = at_once(work)
            _follow_alteration(sql, project, ctx)
            stored: JobMeta = ctx.catalog.upsert_job(meta)
            return stored

    return run


def _atomic_step(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def run(interpreter: ScriptInterpreter, *arguments: Any) -> Any:
        with interpreter._ctx.engine.transactions.transaction():
            result = at_once(original(interpreter, *arguments))
            _follow_alteration(arguments[0], interpreter._project_id, interpreter._ctx)
            return result

    return run


def _follow_alteration(sql: str, project: str, ctx: AppContext) -> None:
    """Tell the catalog what ALTER TABLE has made of a table, which bqemulator does not."""
    if executor.classify_statement_type(sql) != "ALTER_TABLE":
        return
    statement = sqlglot.parse_one(sql, read="bigquery")
    former = ddl_sync._split_target(statement.find(exp.Table), project)
    meta = ctx.catalog.get_table(*former)
    if meta is None or meta.table_type != "TABLE":
        return
    renaming = statement.find(exp.AlterRename)
    table = (*former[:2], renaming.this.name) if renaming else former
    fields = _altered_fields(meta, ddl_sync._introspect_schema(*table, ctx).fields, statement)
    changes = {"table_id": table[2], "schema_": TableSchema(fields=fields)}
    ctx.catalog.delete_table(*former)
    ctx.catalog.create_table(meta.model_copy(update=changes))


def _altered_fields(meta: TableMeta, found: tuple[Any, ...], statement: Any) -> tuple[Any, ...]:
    """The fields as declared where the statement left them alone: DuckDB does not know all."""
    altered = {action.this.name for action in statement.find_all(exp.AlterColumn)}
    kept = {field.name: field for field in meta.schema_.fields if field.name not in altered}
    return tuple(kept.get(field.name, field) for field in found)


def _in_another_thread(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let other requests go on while a query runs; one that belongs to a transaction stays."""

    @functools.wraps(original)
    async def run(
        project: str, sql: str, parameters: Any, ctx: AppContext, **named: Any
    ) -> pa.Table:
        def work() -> pa.Table:
            return compacted(at_once(original(project, sql, parameters, ctx, **named)))

        if ctx.engine.transactions.is_open_here:
            return work()
        try:
            return await asyncio.to_thread(work)
        except NotFoundError:
            # A session's temporary tables are those of the event loop's connection.
            return work()

    return run


_WRAPPERS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "execute_query_job": _atomic_job,
    "_run_single_sql": _in_another_thread,
    "_run_script": _ending_its_tables,
    "_exec_sql": _atomic_step,
    "_run_statement_with_params": _atomic_step,
}


class WriteHandler(BigQueryWriteHandler):  # type: ignore[misc] # bqemulator is not followed
    """The Storage Write API, which writes in the same transactions as everything else."""

    def _ensure_stream_bound(self, stream_name: str, bound_ctx: Any, context: Any) -> Any:
        # Only the first request of a connection must name the stream; clients leave it out then.
        if bound_ctx is not None and not stream_name:
            return bound_ctx
        full_name = _SHORT_DEFAULT_STREAM.sub(r"\1/streams/_default", stream_name)
        return super()._ensure_stream_bound(full_name, bound_ctx, context)

    def _flush_to_target(self, stream: Any, rows: pa.Table) -> None:
        with self._ctx.engine.transactions.transaction():
            super()._flush_to_target(stream, rows)
