"""The part of `engine` that has to do with types: what bqemulator makes of them, mended.

Every name that is replaced is in `REPLACED`; a test fails when one goes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import sqlglot
from bqemulator.api.routes import tables as tables_route
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.models import RangePartitioning, TableFieldSchema, TableMeta
from bqemulator.domain.errors import InvalidQueryError, UnsupportedFeatureError
from bqemulator.jobs import executor
from bqemulator.sql import catalog_schema, inner_query, translator
from bqemulator.sql.catalog_schema import build_catalog_schema
from bqemulator.sql.rewriter.numeric_literals import rewrite_numeric_literals
from bqemulator.sql.rules import get_all_rules, register
from bqemulator.storage import arrow_bridge, type_map
from bqemulator.types import geography
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from tf_dataflow_serving.services.bigquery.embedded.bignumeric_rules import BignumericRule
from tf_dataflow_serving.services.bigquery.embedded.geography_rules import GeographyTextRule
from tf_dataflow_serving.services.bigquery.embedded.result_columns import GEOMETRY, TYPE_KEY
from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.files.writing import plain_text
from tf_dataflow_serving.services.bigquery.sql.nested_sql import with_plain_nesting
from tf_dataflow_serving.services.bigquery.sql.query_parameters import bind_parameters
from tf_dataflow_serving.services.bigquery.types import bignumeric
from tf_dataflow_serving.services.bigquery.types.bignumeric_functions import PARSE
from tf_dataflow_serving.services.bigquery.types.columns import duckdb_columns
from tf_dataflow_serving.services.bigquery.types.schema import Field, Schema, schema_from_rest

_BIGNUMERIC_LITERAL = re.compile(r"(?i)\bBIGNUMERIC\s+(['\"])([^'\"]+)\1")


# sqlglot makes the same of NUMERIC alone; this one rounds alike.
_LOOKS_BARE = re.compile(r"(?i)\b(NUMERIC|DECIMAL)\s*\(\s*18\s*,\s*3\s*\)")


def mend_types() -> None:
    """Replace what bqemulator does with types by ours; a second time it changes nothing."""
    for (owner, name), replacement in REPLACED.items():
        setattr(owner, name, replacement)
    # It would keep DuckDB's spelling of WKT.
    geography.BQ_TO_DUCKDB.pop(GeographyTextRule.name, None)
    # There is no DECIMAL(76, 38) in DuckDB.
    type_map._BQ_TO_DUCKDB["BIGNUMERIC"] = bignumeric.DUCKDB_TYPE
    if not any(isinstance(rule, BignumericRule) for rule in get_all_rules()):
        for rule in (BignumericRule, GeographyTextRule):
            register(rule)
        # This one was made as its module was imported.
        executor._translator = translator.SQLTranslator()


def _with_types(tree: exp.Expression, schema: dict[str, Any]) -> exp.Expression:
    """Find the types of a statement's expressions, keeping the case of its names if possible."""
    for strategy in ("case_sensitive", "case_insensitive"):
        dialect = f"duckdb, normalization_strategy={strategy}"
        with suppress(sqlglot.errors.SqlglotError):
            qualified = qualify(tree.copy(), schema=schema, dialect=dialect, infer_schema=True)
            return annotate_types(qualified, schema=schema, dialect=dialect)
    return tree


def _introspected_columns(engine: Any, table: str) -> pa.Schema:
    """The columns of a new table, with their tags, without which JSON is taken for text."""
    columns: pa.Schema = engine.fetch_arrow(f"SELECT * FROM {table} LIMIT 0").schema  # noqa: S608
    return columns


def _table_field(column: pa.Field, mode_override: Any = None) -> TableFieldSchema:
    """A column of a new table as a query's result would show it."""
    entry = executor._arrow_field_to_schema_entry(column)
    required = mode_override == "REQUIRED" and entry["mode"] == "NULLABLE"
    return _field_schema({**entry, "mode": "REQUIRED"} if required else entry)


def _field_schema(entry: Mapping[str, Any]) -> TableFieldSchema:
    element = entry.get("rangeElementType")
    return TableFieldSchema(
        name=entry["name"],
        type=entry["type"],
        mode=entry["mode"],
        fields=tuple(_field_schema(child) for child in entry.get("fields") or ()),
        range_element_type=TableFieldSchema(name="element", **element) if element else None,
    )


_resolved_type = executor._resolve_bq_type


def _bigquery_type(field: pa.Field, inner_type: pa.DataType) -> str:
    """The type of a result's column, by its tag; bqemulator knows no GEOGRAPHY there."""
    if (field.metadata or {}).get(TYPE_KEY) == GEOMETRY.encode():
        return "GEOGRAPHY"
    resolved: str = _resolved_type(field, inner_type)
    return resolved


def _with_wide_literals(sql: str) -> str:
    """bqemulator cuts long BIGNUMERIC literals short."""
    sql = _LOOKS_BARE.sub(r"\1(19, 3)", sql)
    parsed = _BIGNUMERIC_LITERAL.sub(lambda m: f"{PARSE}({m[1]}{m[2]}{m[1]})", sql)
    rewritten: str = rewrite_numeric_literals(parsed)
    return rewritten


def _catalog_types(sql: str, *, project_id: str, catalog: Any) -> dict[str, dict[str, Any]]:
    """The types of the columns that a query may name, nested ones if there is any BIGNUMERIC."""
    known: dict[str, dict[str, Any]] = build_catalog_schema(
        sql, project_id=project_id, catalog=catalog
    )
    tables = _tables_of(sql, project_id, catalog)
    nested = any("BIGNUMERIC" in _types_in(table.schema_.fields) for table in tables)
    # `*` becomes the columns that are known, so there must be all of a table's or none.
    partial = (
        t for t in tables if nested or len(known.get(t.table_id, ())) < len(t.schema_.fields)
    )
    types = known | {table.table_id: _column_types(table) for table in partial}
    return {name: types[name] for name in types if name not in _ambiguous(tables)}


_expand_wildcards = inner_query.expand_wildcard_tables


def _with_plain_nesting(sql: str, project: str, catalog: Any) -> str:
    """The last form of a statement before its translation."""

    def schema_of(table: exp.Table) -> Schema | None:
        reference = catalog_schema._resolve_table_ref(table, project_id=project)
        meta = catalog.get_table(*reference) if reference else None
        fields = meta.schema_.fields if meta is not None else ()
        return schema_from_rest(tables_route._field_to_rest(f) for f in fields) or None

    try:
        return with_plain_nesting(_expand_wildcards(sql, project, catalog), schema_of)
    except InvalidQuery as error:
        raise InvalidQueryError(error.message) from error


def _ambiguous(tables: Sequence[TableMeta]) -> set[str]:
    """The names that tables of several datasets have: types are known by that name only."""
    places = {(table.project_id, table.dataset_id, table.table_id) for table in tables}
    return {name for name, count in Counter(place[2] for place in places).items() if count > 1}


def _tables_of(sql: str, project: str, catalog: Any) -> list[TableMeta]:
    try:
        statement = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        # What is wrong with it is told where it is translated.
        return []
    references = [
        catalog_schema._resolve_table_ref(table, project_id=project)
        for table in statement.find_all(exp.Table)
    ]
    tables = (catalog.get_table(*reference) for reference in references if reference)
    return [table for table in tables if table is not None]


def _types_in(fields: Iterable[TableFieldSchema]) -> set[str]:
    return {kind for field in fields for kind in (field.type, *_types_in(field.fields))}


def _column_types(table: TableMeta) -> dict[str, exp.DataType]:
    fields = [tables_route._field_to_rest(field) for field in table.schema_.fields]
    columns = duckdb_columns(fields)
    return {name: exp.DataType.build(kind, dialect="duckdb") for name, kind in columns}


_BY_TYPE = (
    (pa.types.is_decimal, lambda value, _type, _field: plain_text(value)),
    (pa.types.is_floating, lambda value, _type, _field: plain_text(value)),
)
_FORMATTERS: Sequence[Any] = (*_BY_TYPE, *arrow_bridge._BQ_TYPE_FORMATTERS)

_parse_fields, _field_to_rest = tables_route._parse_schema_fields, tables_route._field_to_rest
_to_meta, _to_rest = tables_route._rest_to_table_meta, tables_route._table_to_rest


def _parsed_fields(raw: Sequence[Mapping[str, Any]]) -> tuple[TableFieldSchema, ...]:
    """The fields of a schema with their lengths, which bqemulator forgets, and REST types."""
    if any(resource.get("defaultValueExpression") for resource in raw):
        raise UnsupportedFeatureError("Default values of columns are not supported")
    parsed = zip(_parse_fields(list(raw)), schema_from_rest(raw), strict=True)
    return tuple(meta.model_copy(update=_mended(field)) for meta, field in parsed)


def _mended(field: Field) -> dict[str, Any]:
    lengths = {"max_length": field.max_length, "precision": field.precision, "scale": field.scale}
    return {"type": field.type, **lengths}


def _field_resource(meta: TableFieldSchema) -> dict[str, Any]:
    lengths = {"maxLength": meta.max_length, "precision": meta.precision, "scale": meta.scale}
    given = {key: str(length) for key, length in lengths.items() if length is not None}
    return {**_field_to_rest(meta), **given}


def _table_meta(
    project: str, dataset: str, body: dict[str, Any], clock: Any, existing: TableMeta | None = None
) -> TableMeta:
    """A table with its partitions by range, which bqemulator forgets."""
    meta = _to_meta(project, dataset, body, clock, existing)
    by_range = body.get("rangePartitioning")
    known = existing.range_partitioning if existing else None
    if by_range:
        limits = {key: int(by_range["range"][key]) for key in ("start", "end", "interval")}
        known = RangePartitioning(field=by_range["field"], **limits)
    return meta.model_copy(update={"range_partitioning": known})


def _table_resource(meta: TableMeta) -> dict[str, Any]:
    resource: dict[str, Any] = _to_rest(meta)
    by_range = meta.range_partitioning
    if by_range is not None:
        limits = {key: str(getattr(by_range, key)) for key in ("start", "end", "interval")}
        resource["rangePartitioning"] = {"field": by_range.field, "range": limits}
    return resource


REPLACED: Mapping[tuple[Any, str], Any] = {
    (executor, "bind_parameters"): bind_parameters,
    (executor, "_resolve_bq_type"): _bigquery_type,
    (arrow_bridge, "introspect_arrow_schema"): _introspected_columns,
    (arrow_bridge, "_BQ_TYPE_FORMATTERS"): _FORMATTERS,
    (tables_route, "_parse_schema_fields"): _parsed_fields,
    (tables_route, "_field_to_rest"): _field_resource,
    (tables_route, "_rest_to_table_meta"): _table_meta,
    (tables_route, "_table_to_rest"): _table_resource,
    (tables_route, "bq_schema_to_duckdb_columns"): duckdb_columns,
    (type_map, "bq_schema_to_duckdb_columns"): duckdb_columns,
    (ddl_sync, "_arrow_field_to_table_field"): _table_field,
    (translator.SQLTranslator, "_annotate_tree"): staticmethod(_with_types),
    (translator, "rewrite_numeric_literals"): _with_wide_literals,
    (inner_query, "build_catalog_schema"): _catalog_types,
    (inner_query, "expand_wildcard_tables"): _with_plain_nesting,
}
