"""CREATE OR REPLACE statements are found, and become CREATE under another name."""

import pytest

from tf_dataflow_serving.services.bigquery.upstream.replacing import Kind, Replacement
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

OTHER = TableRef("p", "staging", "x")


@pytest.mark.parametrize(
    ("sql", "kind", "table", "create"),
    [
        (
            "CREATE OR REPLACE TABLE d.t AS SELECT * FROM d.t",
            Kind.TABLE,
            TableRef("p", "d", "t"),
            "CREATE TABLE `p`.`staging`.`x` AS SELECT * FROM d.t",
        ),
        (
            "create or  replace table `q-1.d.t` (a INT64)",
            Kind.TABLE,
            TableRef("q-1", "d", "t"),
            "create table `p`.`staging`.`x` (a INT64)",
        ),
        (
            "CREATE OR REPLACE VIEW `d`.t AS SELECT 'OR REPLACE '",
            Kind.VIEW,
            TableRef("p", "d", "t"),
            "CREATE VIEW `p`.`staging`.`x` AS SELECT 'OR REPLACE '",
        ),
    ],
)
def test_a_replacement(sql, kind, table, create):
    found = Replacement.parse(sql, "p")
    assert found is not None
    assert (found.kind, found.table) == (kind, table)
    assert found.as_create(OTHER) == create


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE d.t AS SELECT ' OR REPLACE '",
        "CREATE OR REPLACE TEMP TABLE t AS SELECT 1",
        "CREATE OR REPLACE FUNCTION d.f(x INT64) AS (x)",
        "SELECT 1",
        "CREATE OR REPLACE TABEL",
    ],
)
def test_other_statements(sql):
    assert Replacement.parse(sql, "p") is None
