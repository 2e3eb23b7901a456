"""Subscripts of JSON and the fields of array items are written so that they keep their meaning."""

import pytest
from sqlglot import exp

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.sql.nested_sql import with_plain_nesting
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

ITEMS = Field("items", "RECORD", Mode.REPEATED, (Field("fruit", "STRING"), Field("j", "JSON")))
COLUMNS: Schema = (
    Field("id", "INTEGER"),
    Field("doc", "JSON"),
    Field("docs", "JSON", Mode.REPEATED),
    Field("record", "RECORD", Mode.NULLABLE, (Field("doc", "JSON"),)),
    Field("numbers", "INTEGER", Mode.REPEATED),
    ITEMS,
)


def schema_of(table: exp.Table) -> Schema | None:
    return COLUMNS if table.name == "t" else None


def rewritten(sql: str) -> str:
    return with_plain_nesting(sql, schema_of)


@pytest.mark.parametrize(
    ("access", "value", "path"),
    [
        ("doc[0]", "doc", "$[0]"),
        ("doc.a[2]", "doc", "$.a[2]"),
        ('doc["a b"].c', "doc", "$[\\'a b\\'].c"),
        ("t.doc[1]", "t.doc", "$[1]"),
        ('record.doc["a"]', "record.doc", "$.a"),
        ('docs[OFFSET(1)]["a"]', "docs[OFFSET(1)]", "$.a"),
        ("items[OFFSET(0)].j.a[0]", "items[OFFSET(0)].j", "$.a[0]"),
    ],
)
def test_a_subscript_of_json_is_a_path(access: str, value: str, path: str) -> None:
    sql = rewritten(f"SELECT {access} AS v FROM d.t")  # noqa: S608
    assert sql == f"SELECT PARSE_JSON(JSON_EXTRACT({value}, '{path}')) AS v FROM d.t"  # noqa: S608


def test_json_is_known_through_subqueries() -> None:
    sql = rewritten("WITH u AS (SELECT doc AS x FROM d.t) SELECT x[0] AS v FROM (SELECT * FROM u)")
    assert "PARSE_JSON(JSON_EXTRACT(x, '$[0]')) AS v" in sql


def test_a_subscript_that_is_no_constant_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="constant"):
        rewritten("SELECT doc[id] FROM d.t")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT id, fruit FROM d.t, UNNEST(items) AS item",
            "SELECT id, item.fruit AS `fruit` FROM d.t CROSS JOIN UNNEST(items) AS item",
        ),
        (
            "SELECT fruit FROM d.t, UNNEST(items)",
            "SELECT _item_1.fruit AS `fruit` FROM d.t CROSS JOIN UNNEST(items) AS _item_1",
        ),
        (
            "SELECT items.fruit FROM d.t, UNNEST(items) AS items",
            "SELECT _item_1.fruit AS `fruit` FROM d.t CROSS JOIN UNNEST(items) AS _item_1",
        ),
        (
            "SELECT numbers FROM d.t, UNNEST(t.numbers) AS numbers WHERE numbers > 1",
            "SELECT _item_1 AS `numbers` FROM d.t CROSS JOIN UNNEST(t.numbers) AS _item_1 "
            "WHERE _item_1 > 1",
        ),
        (
            "SELECT id FROM d.t WHERE EXISTS(SELECT 1 FROM UNNEST(items) AS i WHERE fruit = 'a')",
            "SELECT id FROM d.t WHERE EXISTS(SELECT 1 FROM UNNEST(items) AS i WHERE i.fruit = 'a')",
        ),
    ],
)
def test_fields_of_array_items_are_columns(sql: str, expected: str) -> None:
    assert rewritten(sql) == expected


def test_a_star_has_the_fields_of_array_items() -> None:
    left_out = "doc, docs, record, numbers, items, j"
    sql = rewritten(f"SELECT * EXCEPT ({left_out}) FROM d.t, UNNEST(items) AS i")  # noqa: S608
    assert sql.startswith("SELECT `t`.`id`, `i`.`fruit` FROM")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT numbers[0] FROM d.t",
        "SELECT x[0] FROM d.elsewhere",
        "SELECT n FROM d.t, UNNEST(numbers) AS n",
        "SELECT fruit FROM d.elsewhere, UNNEST(things) AS x",
        "SELECT fruit FROM UNNEST([STRUCT('a' AS fruit)])",
        "SELECT [1, 2",
    ],
)
def test_everything_else_stays(sql: str) -> None:
    assert rewritten(sql) == sql
