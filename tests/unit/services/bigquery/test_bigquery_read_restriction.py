"""A row filter is one condition on the columns of its table, and nothing else."""

import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.reads.projection import projected
from tf_dataflow_serving.services.bigquery.reads.row_restriction import checked_restriction
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode

SCHEMA = (
    Field("a", "INTEGER"),
    Field("ok", "BOOLEAN"),
    Field("d", "DATE"),
    # Words that begin a statement are names like any other.
    Field("load", "INTEGER"),
    Field("comment", "INTEGER"),
    Field("use", "INTEGER"),
    Field("r", "RECORD", Mode.NULLABLE, (Field("x", "STRING"), Field("y", "STRING"))),
)


@pytest.mark.parametrize(
    "text",
    [
        "a > 5",
        "A > 5",
        "a BETWEEN 1 AND 5 OR NOT ok",
        "ok",
        "(ok)",
        "r.x = 'it''s'",
        "a IN UNNEST([1, 2])",
        "a IN (1, 2)",
        "d = CAST('2014-9-27' AS DATE)",
        "a IS NOT NULL",
        "TRUE",
        "load = 1 AND comment = 2 AND use = 3",
        "STARTS_WITH(r.x, 'p')",
        "REGEXP_CONTAINS(r.x, r'^p')",
        "NOT REGEXP_CONTAINS(r.x, 'p') AND a > 1",
        "_PARTITIONDATE = '2024-01-01'",
    ],
)
def test_a_condition_is_kept(text: str) -> None:
    assert checked_restriction(text, SCHEMA)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_blank_is_no_condition(text: str) -> None:
    assert checked_restriction(text, SCHEMA) == ""


def test_a_comment_is_dropped() -> None:
    assert checked_restriction("a > 5 -- ) OR (TRUE", SCHEMA) == "a > 5"


@pytest.mark.parametrize(
    "text",
    [
        "a > 5; DROP TABLE t",
        "a > 5) OR (TRUE",
        "a > 5 UNION ALL SELECT 1",
        "SELECT 1",
        "a IN (SELECT 1)",
        "EXISTS(SELECT 1)",
        "SUM(a) > 1",
        "ROW_NUMBER() OVER () = 1",
        "a > 5 LIMIT 1",
        "a > 5 ORDER BY a",
        "a > 5 GROUP BY a",
        "a > 5 HAVING TRUE",
        "a > 5 WINDOW w AS (PARTITION BY a)",
        "a > 5 QUALIFY TRUE",
        "a AS b",
        "a > @p",
        "a >",
        "DROP TABLE t",
        "*",
        "a",
        "5",
        "a + 1",
        "'text",
        "nope > 1",
        "t.a > 1",
        f"r.x = '{'x' * 1024 * 1024}'",
        "(" * 10_000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        checked_restriction(text, SCHEMA)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(InvalidRequest, match="Unrecognized name: nope"):
        checked_restriction("nope = 1", SCHEMA)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], ["a", "ok", "d", "load", "comment", "use", "r.x", "r.y"]),
        (["ok", "a"], ["a", "ok"]),
        (["r.y", "A"], ["a", "r.y"]),
        (["r"], ["r.x", "r.y"]),
        (["r.x", "r"], ["r.x", "r.y"]),
        (["r.y", "r.x"], ["r.x", "r.y"]),
    ],
)
def test_selected_fields_keep_the_order_of_the_table(paths: list[str], expected: list[str]) -> None:
    chosen = projected(SCHEMA, paths)
    names = [
        f"{field.name}.{child.name}" if child else field.name
        for field in chosen
        for child in field.fields or (None,)
    ]
    assert names == expected


@pytest.mark.parametrize("path", ["nope", "r.nope", "a.x", "", "r.", "r.x.z"])
def test_a_selected_field_that_is_not_there_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest, match=f"do not exist in the table schema: {path}$"):
        projected(SCHEMA, [path])
