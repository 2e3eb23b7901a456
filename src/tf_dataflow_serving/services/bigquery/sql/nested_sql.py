"""GoogleSQL on nested values in a form that sqlglot translates to the same in DuckDB.

- `json[0]` and `array[OFFSET(1)]["name"]`: sqlglot takes a subscript of JSON for one of an array,
  and counts from one. Source: "JSON subscript operator"
  (https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#json_subscript_operator).
- `SELECT name FROM t, UNNEST(t.records)`: the fields of an array's records are columns, and the
  name of an array's items may be that of a column. Source: "UNNEST operator"
  (https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.sql.nested_scope import (
    SchemaOf,
    Scope,
    Source,
    Step,
    is_json,
    steps_of,
    type_of,
    typed_steps,
)
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

Tables = Mapping[str, Schema | None]


def with_plain_nesting(sql: str, schema_of: SchemaOf) -> str:
    """The statement, rewritten where it needs to be; what can't be parsed stays.

    Raises InvalidQuery for a subscript of JSON that is not a constant.
    """
    if "[" not in sql and "UNNEST" not in sql.upper():
        return sql
    try:
        statement: Any = sqlglot.parse_one(sql, read="bigquery")
    except (SqlglotError, RecursionError):
        return sql
    rewriter = _Rewriter(schema_of)
    for query in _outermost(statement):
        rewriter.query(query, None, {})
    return str(statement.sql(dialect="bigquery")) if rewriter.changed else sql


def _outermost(statement: Any) -> Iterator[Any]:
    return (node for node in list(statement.walk(prune=_is_query)) if _is_query(node))


class _Rewriter:
    """Rewrites queries in place, the outer sources before what refers to them."""

    def __init__(self, schema_of: SchemaOf) -> None:
        self.changed = False
        self._schema_of = schema_of
        self._made = 0

    def query(self, query: Any, outer: Scope | None, known: Tables) -> Schema | None:
        """Rewrite a query; returns its columns, None if they are not known."""
        tables = dict(known)
        for expression in query.ctes if isinstance(query, exp.Query) else ():
            tables[expression.alias.lower()] = self.query(expression.this, outer, tables)
        if isinstance(query, exp.SetOperation):
            self.query(query.expression, outer, tables)
            return self.query(query.this, outer, tables)
        if isinstance(query, exp.Subquery):
            return self.query(query.this, outer, tables)
        return self._select(query, outer, tables) if isinstance(query, exp.Select) else None

    def _select(self, select: exp.Select, outer: Scope | None, tables: Tables) -> Schema | None:
        scope = Scope(outer)
        sources = list(_sources(select))
        for source in sources:
            scope.sources.append(self._source(source, scope, tables))
        for source, node in zip(scope.sources, sources, strict=True):
            self._rename(source, node, scope)
        columns = _columns_of(select, scope)
        own = _own_nodes(select)
        for node in own:
            if _is_query(node) and not any(node is source for source in sources):
                self.query(node, scope, tables)
        for node in own:
            self._access(node, _seen_by(node, sources, scope))
        self._expand_star(select, scope)
        for node in _own_nodes(select):
            if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
                self._qualify(node, _seen_by(node, sources, scope))
        return columns

    def _source(self, node: Any, scope: Scope, tables: Tables) -> Source:
        name = node.alias_or_name
        if isinstance(node, exp.Unnest):
            return _unnested(node, scope)
        if isinstance(node, exp.Table):
            is_known = not node.db and node.name.lower() in tables
            columns = tables[node.name.lower()] if is_known else self._schema_of(node)
        else:
            columns = self.query(node, scope.outer, tables)
        return Source(name, name, columns)

    def _rename(self, source: Source, node: Any, scope: Scope) -> None:
        """Give an array's items a name that no column has."""
        if not source.is_unnest or not (source.element or source.name):
            return
        if source.name and not scope.is_column(source.name):
            return
        self._made += 1
        source.renamed = f"_item_{self._made}"
        node.set("alias", exp.TableAlias(columns=[exp.to_identifier(source.renamed)]))
        self.changed = True

    def _access(self, node: Any, scope: Scope) -> None:
        """Replace the accesses to a JSON value by one path."""
        if not isinstance(node, exp.Dot | exp.Bracket | exp.Column) or _is_inner(node):
            return
        typed = list(typed_steps(list(steps_of(node)), scope))
        first = next((i for i, (_, known) in enumerate(typed) if is_json(known)), None)
        if first is None:
            return
        path = "$" + "".join(_path_step(step) for step, _ in typed[first:])
        extract = exp.func("JSON_EXTRACT", typed[first][0].upto.copy(), exp.Literal.string(path))
        self.changed = True
        name = _implied_name(node)
        replaced: Any = exp.ParseJSON(this=extract)
        if name and isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
            replaced = exp.alias_(replaced, name)
        node.replace(replaced)

    def _expand_star(self, select: exp.Select, scope: Scope) -> None:
        """`*` has the fields of an array's records, not the records."""
        stars = [column for column in select.expressions if isinstance(column, exp.Star)]
        if not any(_is_of_records(source) for source in scope.sources) or len(stars) != 1:
            return
        if stars[0].args.get("replace") or any(s.columns is None for s in scope.sources):
            return
        excepted = {item.name.lower() for item in stars[0].args.get("except_") or ()}
        columns = [
            exp.column(declared.name, source.renamed, quoted=True)
            for source in scope.sources
            for declared in source.columns or ()
            if declared.name.lower() not in excepted
        ]
        position = select.expressions.index(stars[0])
        listed = [*select.expressions[:position], *columns, *select.expressions[position + 1 :]]
        select.set("expressions", listed)
        self.changed = True

    def _qualify(self, column: exp.Column, scope: Scope) -> None:
        """Say of which array's items a field is, and use the names that they got."""
        first = column.parts[0]
        source = scope.named(first.name)
        if source is not None:
            replaced = [exp.to_identifier(source.renamed), *column.parts[1:]]
            needed = source.renamed != source.name
        else:
            found = scope.with_column(first.name)
            if found is None or not found[0].is_unnest:
                return
            replaced = [exp.to_identifier(found[0].renamed), *column.parts]
            needed = True
        if needed:
            self.changed = True
            _replace_column(column, replaced)


def _sources(select: exp.Select) -> Iterator[Any]:
    first = select.args.get("from_")
    if first is not None:
        yield first.this
    for join in select.args.get("joins") or ():
        yield join.this


def _seen_by(node: Any, sources: Sequence[Any], scope: Scope) -> Scope:
    """The scope of a node: an array refers to what stands on its left."""
    array = node.find_ancestor(exp.Unnest)
    found = next((i for i, source in enumerate(sources) if source is array), None)
    return scope if found is None else scope.before(found)


def _own_nodes(select: exp.Select) -> list[Any]:
    """The nodes of a SELECT without those of the queries in it."""
    return list(select.walk(prune=lambda node: _is_query(node) and node is not select))[1:]


def _is_query(node: Any) -> bool:
    return isinstance(node, exp.Query) and not isinstance(node, exp.Table)


def _unnested(node: exp.Unnest, scope: Scope) -> Source:
    alias = node.args.get("alias")
    named = alias.columns if alias is not None else ()
    name = named[0].name if named else ""
    array = type_of(node.expressions[0], scope) if len(node.expressions) == 1 else None
    if array is None or array.mode is not Mode.REPEATED:
        return Source(name, name, (), None, is_unnest=True)
    item = Field(array.name, array.type, Mode.NULLABLE, array.fields)
    return Source(name, name, array.fields, item, is_unnest=True)


def _is_of_records(source: Source) -> bool:
    return source.element is not None and source.element.type == "RECORD"


def _is_inner(node: Any) -> bool:
    """Whether an access is a part of a longer one."""
    return isinstance(node.parent, exp.Dot | exp.Bracket) and node.arg_key == "this"


def _implied_name(node: Any) -> str:
    """The name that a column has without AS; a subscript gives none."""
    if isinstance(node, exp.Dot):
        return str(node.expression.name)
    return str(node.name) if isinstance(node, exp.Column) else ""


def _path_step(step: Step) -> str:
    if isinstance(step.key, str):
        return f'."{step.key}"'
    if not isinstance(step.key, exp.Literal):
        raise InvalidQuery(f"A subscript of JSON must be a constant here: {step.key.sql()}")
    return f'."{step.key.this}"' if step.key.is_string else f"[{step.key.this}]"


def _columns_of(select: exp.Select, scope: Scope) -> Schema | None:
    columns: list[Field] = []
    for column in select.expressions:
        if isinstance(column, exp.Star):
            if any(source.columns is None for source in scope.sources):
                return None
            columns += (own for source in scope.sources for own in source.columns or ())
        else:
            columns.append(_renamed(type_of(column.unalias(), scope), column.alias_or_name))
    return tuple(columns)


def _renamed(declared: Field | None, name: str) -> Field:
    """A column of this name; one of an unknown type has no fields that could be meant."""
    if declared is None:
        return Field(name, "")
    return Field(name, declared.type, declared.mode, declared.fields)


def _replace_column(column: exp.Column, parts: Sequence[Any]) -> None:
    """Put other names in the place of a column's; as a result it keeps its own."""
    name = column.name
    expression: Any = exp.Column(this=parts[0].copy())
    if len(parts) > 1:
        expression = exp.Column(this=parts[1].copy(), table=parts[0].copy())
    for part in parts[2:]:
        expression = exp.Dot(this=expression, expression=part.copy())
    is_result = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
    column.replace(exp.alias_(expression, name, quoted=True) if is_result else expression)
