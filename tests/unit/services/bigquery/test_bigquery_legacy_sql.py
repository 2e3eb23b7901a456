"""Legacy SQL becomes GoogleSQL of the same meaning, or is refused by name."""

import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.sql.legacy_dialect import is_legacy
from tf_dataflow_serving.services.bigquery.sql.legacy_sql import in_google_sql
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

RECORDS = Field("records", "RECORD", Mode.REPEATED, (Field("x", "INTEGER"),))
TABLES: dict[TableRef, Schema] = {
    TableRef("p", "d", "a"): (Field("id", "INTEGER"), Field("name", "STRING")),
    TableRef("p", "d", "b"): (Field("Name", "STRING"), Field("size", "FLOAT")),
    TableRef("p", "d", "nested"): (Field("id", "INTEGER"), RECORDS),
    TableRef("other-project", "d", "a"): (Field("id", "INTEGER"),),
}


def translated(sql: str, **options: object) -> str:
    return str(in_google_sql({"query": sql, **options}, "p", TABLES.get)["query"])


@pytest.mark.parametrize(
    ("legacy", "google"),
    [
        ("SELECT id FROM [d.a]", "SELECT id FROM `d.a`"),
        ("SELECT id FROM [p:d.a]", "SELECT id FROM `p.d.a`"),
        ("SELECT id FROM [other-project:d.a];", "SELECT id FROM `other-project.d.a`"),
        ("SELECT id FROM d.a // a comment", "SELECT id FROM d.a"),
        ("SELECT id, FROM [d.a],", "SELECT id FROM `d.a`"),
        ("#legacySQL\nSELECT id FROM [d.a]", "SELECT id FROM `d.a`"),
        ('SELECT "x]" FROM [d.a]', "SELECT 'x]' AS `f0_` FROM `d.a`"),
    ],
)
def test_tables_are_named_in_brackets(legacy: str, google: str) -> None:
    assert translated(legacy) == google


def test_a_comma_between_tables_is_union_all_by_name() -> None:
    assert translated("SELECT * FROM [d.a], [d.b]") == (
        "SELECT * FROM (SELECT `id`, `Name`, NULL AS `size` FROM `d.a` UNION ALL "
        "SELECT NULL AS `id`, `Name`, `size` FROM `d.b`)"
    )


def test_a_comma_between_selects_is_union_all() -> None:
    assert translated('SELECT * FROM (SELECT "apple" AS fruit), (SELECT "fig" AS fruit),') == (
        "SELECT * FROM (SELECT `fruit` FROM (SELECT 'apple' AS fruit) UNION ALL "
        "SELECT `fruit` FROM (SELECT 'fig' AS fruit))"
    )


def test_the_columns_of_a_union_in_a_union_are_known() -> None:
    inner = "(SELECT * FROM [d.a], [d.b])"
    assert translated(f"SELECT size FROM {inner}, [d.b]").count("UNION ALL") == 2  # noqa: S608


def test_columns_have_the_names_of_legacy_sql() -> None:
    sql = "SELECT a.id, 1 + 1, COUNT(*) n FROM [d.a] a JOIN EACH [d.b] b ON a.name = b.name"
    columns, _, _ = translated(f"{sql} GROUP EACH BY a.id").partition(" FROM ")
    assert columns == "SELECT a.id AS `a_id`, 1 + 1 AS `f0_`, COUNT(*) AS n"


@pytest.mark.parametrize(
    ("legacy", "google"),
    [
        ("INTEGER(name)", "SAFE_CAST(name AS INT64)"),
        ("CAST(name AS INTEGER)", "SAFE_CAST(name AS INT64)"),
        ("FLOAT(id)", "SAFE_CAST(id AS FLOAT64)"),
        ("STRING(id + 1)", "SAFE_CAST(id + 1 AS STRING)"),
        ("BOOLEAN(id)", "SAFE_CAST(id AS BOOL)"),
        ("STRING(LENGTH(name))", "SAFE_CAST(LENGTH(name) AS STRING)"),
        ("IFNULL(name, 'x')", "IFNULL(name, 'x')"),
        ("REGEXP_MATCH(name, r'^a')", "REGEXP_CONTAINS(name, '^a')"),
        ("COUNT(DISTINCT id)", "COUNT(DISTINCT id)"),
        ("EXACT_COUNT_DISTINCT(id)", "COUNT(DISTINCT id)"),
        ("YEAR(USEC_TO_TIMESTAMP(id))", "EXTRACT(YEAR FROM TIMESTAMP_MICROS(id))"),
        ("NOW()", "UNIX_MICROS(CURRENT_TIMESTAMP())"),
        ("IF(id = 1, 'a', 'b')", "IF(id = 1, 'a', 'b')"),
    ],
)
def test_functions_get_their_names_in_google_sql(legacy: str, google: str) -> None:
    assert translated(f"SELECT {legacy} v FROM [d.a]") == f"SELECT {google} AS v FROM `d.a`"  # noqa: S608


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT id FROM TABLE_DATE_RANGE([d.a], NOW(), NOW())", "TABLE_DATE_RANGE"),
        ("SELECT x FROM FLATTEN([d.nested], records)", "FLATTEN"),
        ("SELECT HASH(id) FROM [d.a]", "HASH"),
        ("SELECT COUNT(DISTINCT id, 100) FROM [d.a]", "COUNT"),
        ("SELECT id FROM [d.a@-3600000-]", "decorator"),
        ("SELECT id FROM [d.a$20200101]", "decorator"),
        ("SELECT INTEGER(size) FROM [d.b]", "INTEGER of FLOAT"),
        ("SELECT STRING(size) FROM [d.b]", "STRING of FLOAT"),
        ("SELECT INTEGER(x) FROM (SELECT size x FROM [d.b])", "not known"),
        ("SELECT id FROM [d.a] ORDER BY 1", "position"),
        ("SELECT SUM(id) OVER (ORDER BY id) FROM [d.a]", "SUM OVER"),
        ("SELECT * FROM [d.a] a JOIN [d.b] b ON a.name = b.name", "JOIN"),
        ("SELECT * FROM [d.a], [d.b] JOIN [d.a] c ON c.id = id", "JOIN"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "WITH"),
        ("SELECT id FROM [d.a] UNION ALL SELECT id FROM [d.a]", "SELECT statement"),
        ("DELETE FROM d.a WHERE true", "SELECT statement"),
        ("SELECT id FROM [d.a] WHERE name CONTAINS 'x'", "Unexpected token"),
        ("SELECT COUNT(id) WITHIN RECORD FROM [d.nested]", "Unexpected token"),
        ("SELECT * FROM [d.nowhere], [d.a]", "Not found"),
        ("SELECT ARRAY_LENGTH(id) FROM [d.a]", "ARRAY_LENGTH"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(sql: str, named: str) -> None:
    with pytest.raises(InvalidQuery, match=named):
        translated(sql)


@pytest.mark.parametrize("columns", ["*", "records.x", "id, records"])
def test_nested_fields_would_be_flattened(columns: str) -> None:
    with pytest.raises(InvalidQuery, match="nested or repeated field records"):
        translated(f"SELECT {columns} FROM [d.nested]")  # noqa: S608


def test_other_columns_of_a_nested_table_are_read() -> None:
    assert translated("SELECT id FROM [d.nested]") == "SELECT id FROM `d.nested`"


def test_nested_rows_are_read_whole_without_flattening() -> None:
    sql = translated("SELECT * FROM [d.nested]", flattenResults=False)
    assert sql == "SELECT * FROM `d.nested`"


def test_parameters_are_refused() -> None:
    with pytest.raises(InvalidQuery, match="parameters"):
        translated("SELECT 1", queryParameters=[{"name": "x"}])


@pytest.mark.parametrize(
    ("query", "legacy"),
    [
        ({"query": "SELECT 1"}, True),
        ({"query": "SELECT 1", "useLegacySql": True}, True),
        ({"query": "SELECT 1", "useLegacySql": False}, False),
        ({"query": "#standardSQL\nSELECT 1"}, False),
        ({"query": "#LegacySQL\nSELECT 1", "useLegacySql": False}, True),
    ],
)
def test_the_dialect_is_legacy_sql_unless_it_is_said(
    query: dict[str, object], legacy: bool
) -> None:
    assert is_legacy(query) is legacy


def test_google_sql_stays_as_it_is() -> None:
    query = {"query": "SELECT * FROM d.a, d.b", "useLegacySql": False}
    assert in_google_sql(query, "p", TABLES.get) == query
