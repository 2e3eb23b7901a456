"""Legacy SQL in GoogleSQL: what means the same is written so, everything else is refused.

Source: "Legacy SQL query syntax"
(https://cloud.google.com/bigquery/docs/reference/legacy-sql#query-syntax). Two differences would
change rows without a word: a comma between tables is UNION ALL, its columns matched by name; and
results are flattened, a row for each value of a repeated field.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.sql.legacy_dialect import is_legacy, parsed
from tf_dataflow_serving.services.bigquery.sql.legacy_functions import (
    RANKING,
    converted,
    google_function,
    result_kind,
)
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import Mode, Schema

SchemaOf = Callable[[TableRef], Schema | None]

_KNOWN = (
    *(exp.Select, exp.From, exp.Join, exp.Table, exp.TableAlias, exp.Subquery, exp.Where),
    *(exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Identifier, exp.Column),
    *(exp.Alias, exp.Star, exp.Literal, exp.RawString, exp.Null, exp.Boolean, exp.Paren),
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is),
    *(exp.In, exp.Between, exp.Like, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg),
    *(exp.Case, exp.If, exp.Cast, exp.DataType, exp.Anonymous, exp.Distinct, exp.Window),
)
_CASTS: Mapping[Any, str] = {
    exp.DataType.Type.INT: "INTEGER",
    exp.DataType.Type.BIGINT: "INTEGER",
    exp.DataType.Type.FLOAT: "FLOAT",
    exp.DataType.Type.DOUBLE: "FLOAT",
    exp.DataType.Type.TEXT: "STRING",
    exp.DataType.Type.BOOLEAN: "BOOLEAN",
    exp.DataType.Type.BINARY: "BYTES",
}


def in_google_sql(query: Mapping[str, Any], project: str, schema_of: SchemaOf) -> dict[str, Any]:
    """A JobConfigurationQuery, or a QueryRequest, that means the same in GoogleSQL.

    Raises InvalidQuery for legacy SQL that is not understood, or has no equivalent.
    """
    google = {**query, "useLegacySql": False}
    if not is_legacy(query) or not str(query.get("query") or "").strip():
        return google
    if query.get("queryParameters"):
        raise InvalidQuery("Legacy SQL has no query parameters; set useLegacySql to false")
    dataset = str((query.get("defaultDataset") or {}).get("datasetId") or "")
    tables = _Tables(project, dataset, schema_of)
    statement = parsed(str(query["query"]))
    may_nest = statement if query.get("flattenResults") is False else None
    return {**google, "query": _translated(statement, tables, may_nest)}


def _translated(statement: exp.Select, tables: "_Tables", may_nest: exp.Select | None) -> str:
    _check_constructs(statement)
    for table in statement.find_all(exp.Table):
        _split_name(table)
    # The innermost first: what an outer one reads is then in its final form.
    for select in reversed(list(statement.find_all(exp.Select))):
        _check_flat(select, tables, may_nest)
        _translate_calls(select, tables)
        _unite(select, tables)
        _name_columns(select)
    return statement.sql(dialect="bigquery", comments=False)


@dataclass(frozen=True)
class _Tables:
    """The tables that a query may name."""

    project: str
    dataset: str
    schema_of: SchemaOf

    def schema(self, table: exp.Table) -> Schema | None:
        """The schema of a table; None if there is none."""
        dataset = table.db or self.dataset
        if not dataset:
            raise InvalidQuery(f'Table name "{table.name}" missing dataset while no default is set')
        return self.schema_of(TableRef(table.catalog or self.project, dataset, table.name))


def _check_constructs(statement: exp.Select) -> None:
    for node in statement.walk():
        if type(node) not in _KNOWN:
            raise _refused(node.key.upper())
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
            raise _refused(node.this.name or node.this.key.upper())
        if isinstance(node, exp.Window) and node.args.get("order"):
            _check_ranking(node)
        if isinstance(node, exp.Ordered | exp.Group):
            _check_no_positions(node)


def _check_ranking(window: exp.Window) -> None:
    name = str(window.this.this).upper()
    if name not in RANKING:
        raise _refused(f"{name} OVER (ORDER BY)")


def _check_no_positions(node: exp.Expression) -> None:
    by = node.expressions if isinstance(node, exp.Group) else [node.this]
    if any(isinstance(key, exp.Literal) for key in by):
        raise _refused("a column's position in GROUP BY or ORDER BY")


def _refused(what: str) -> InvalidQuery:
    return InvalidQuery(f"Legacy SQL: {what} is not supported; GoogleSQL (useLegacySql=false) is")


def _split_name(table: exp.Table) -> None:
    """Take `project:dataset.table` apart; in GoogleSQL a table's time or partition is no name."""
    if "@" in table.name or "$" in table.name:
        raise _refused(f"a table decorator ({table.name})")
    if ":" in table.name or ":" in table.catalog or (table.catalog and ":" in table.db):
        raise _refused(f"the table name {table.sql(dialect='bigquery')}")
    project, colon, dataset = table.db.rpartition(":")
    if colon:
        table.set("db", exp.to_identifier(dataset, quoted=True))
        table.set("catalog", exp.to_identifier(project, quoted=True))


def _sources(select: exp.Select) -> list[Any]:
    first = select.args.get("from_")
    return [*([first.this] if first else []), *(join.this for join in _joins(select))]


def _joins(select: exp.Select) -> list[exp.Join]:
    return list(select.args.get("joins") or ())


def _check_flat(select: exp.Select, tables: _Tables, may_nest: exp.Select | None) -> None:
    """Raise InvalidQuery where a nested or repeated field is read, which would be flattened.

    `may_nest` is the one whose rows may be nested, if there is any.
    """
    own = [source for source in _sources(select) if isinstance(source, exp.Table)]
    nested = {name for source in own for name in _nested(tables.schema(source))}
    if not nested or (select is may_nest and list(select.expressions) == [exp.Star()]):
        return
    named = {part.name.lower() for column in _columns(select) for part in column.parts}
    if named & nested or any(_is_star(column) for column in select.expressions):
        raise _refused(f"reading the nested or repeated field {min(named & nested or nested)}")


def _nested(schema: Schema | None) -> set[str]:
    return {
        field.name.lower()
        for field in schema or ()
        if field.type == "RECORD" or field.mode is Mode.REPEATED
    }


def _is_star(node: Any) -> bool:
    return isinstance(node, exp.Star) or (
        isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
    )


def _columns(select: exp.Select) -> Iterator[exp.Column]:
    return (node for node in select.find_all(exp.Column) if not _is_star(node))


def _translate_calls(select: exp.Select, tables: _Tables) -> None:
    def kind(value: exp.Expression) -> str:
        return _kind(value, select, tables)

    # The outermost first: a type is found by the names of legacy SQL.
    found: list[Any] = list(select.find_all(exp.Anonymous, exp.Cast))
    for node in found:
        if node.find_ancestor(exp.Select) is not select:
            continue
        if isinstance(node, exp.Anonymous):
            node.replace(google_function(node, kind))
        else:
            name = _CASTS.get(node.to.this)
            if name is None:
                raise _refused(f"CAST to {node.to.sql(dialect='bigquery')}")
            node.replace(converted(name, node.this, kind))


def _kind(value: Any, select: exp.Select, tables: _Tables) -> str:
    """The REST name of the type of an expression of legacy SQL, "" if it is not known."""
    if isinstance(value, exp.Paren):
        return _kind(value.this, select, tables)
    if isinstance(value, exp.Literal):
        return "STRING" if value.is_string else "INTEGER" if value.is_int else "FLOAT"
    if isinstance(value, exp.Boolean | exp.Predicate | exp.Connector | exp.Not):
        return "BOOLEAN"
    if isinstance(value, exp.Column):
        return _column_kind(value, select, tables)
    if isinstance(value, exp.Add | exp.Sub | exp.Mul | exp.Mod):
        kinds = {_kind(side, select, tables) for side in (value.this, value.expression)}
        return "INTEGER" if kinds == {"INTEGER"} else ""
    return result_kind(value) if isinstance(value, exp.Anonymous) else ""


def _column_kind(column: exp.Column, select: exp.Select, tables: _Tables) -> str:
    sources = _sources(select)
    if not all(isinstance(source, exp.Table) for source in sources):
        return ""
    schemas = [tables.schema(source) or () for source in sources]
    name = column.name.lower()
    kinds = {field.type for schema in schemas for field in schema if field.name.lower() == name}
    return kinds.pop() if len(kinds) == 1 else ""


def _unite(select: exp.Select, tables: _Tables) -> None:
    """Put UNION ALL in the place of commas between tables."""
    joins = _joins(select)
    commas = [join for join in joins if not {*_given(join)} - {"this"}]
    if not commas:
        return
    members = _sources(select)
    if len(commas) != len(joins) or any(member.alias for member in members):
        raise _refused("a comma between tables beside JOIN, or with an alias,")
    columns = [_column_names(member, tables) for member in members]
    names = {name.lower(): name for member in columns for name in member}
    parts = [
        _member(member, own, list(names.values()))
        for member, own in zip(members, columns, strict=True)
    ]
    united = exp.union(*parts, distinct=False, copy=False)
    select.set("joins", None)
    select.set("from_", exp.From(this=exp.Subquery(this=united)))


def _given(join: exp.Join) -> Iterator[str]:
    return (name for name, value in join.args.items() if value)


def _member(source: exp.Expression, own: Sequence[str], names: Sequence[str]) -> exp.Select:
    """The columns of all members, null where this one has none of that name."""
    known = {name.lower() for name in own}
    columns = [
        exp.column(exp.to_identifier(name, quoted=True))
        if name.lower() in known
        else exp.alias_(exp.Null(), name, quoted=True)
        for name in names
    ]
    return exp.select(*columns).from_(source.copy())


def _column_names(source: Any, tables: _Tables) -> list[str]:
    if isinstance(source, exp.Table):
        schema = tables.schema(source)
        if not schema:
            raise InvalidQuery(f"Not found: Table {source.sql(dialect='bigquery')}")
        return [field.name for field in schema]
    return [
        name for column in source.this.expressions for name in _names_of(column, source, tables)
    ]


def _names_of(column: Any, subquery: exp.Subquery, tables: _Tables) -> list[str]:
    if not isinstance(column, exp.Star):
        return [column.alias_or_name]
    inner = _sources(subquery.this)
    if len(inner) != 1:
        raise _refused("SELECT * of a JOIN")
    if isinstance(inner[0], exp.Subquery) and isinstance(inner[0].this, exp.Union):
        return [column.alias_or_name for column in inner[0].this.selects]
    return _column_names(inner[0], tables)


def _name_columns(select: exp.Select) -> None:
    """Give columns the names that legacy SQL gives them: `t_a` for t.a, `f0_` for an expression."""
    unnamed = 0
    for column in list(select.expressions):
        if _is_star(column):
            if len(_sources(select)) > 1 or not isinstance(column, exp.Star):
                raise _refused("SELECT * of a JOIN, or of one of several tables,")
        elif isinstance(column, exp.Column):
            if len(column.parts) > 1:
                name = "_".join(part.name for part in column.parts)
                column.replace(exp.alias_(column.copy(), name, quoted=True))
        elif not isinstance(column, exp.Alias):
            column.replace(exp.alias_(column.copy(), f"f{unnamed}_", quoted=True))
            unnamed += 1
