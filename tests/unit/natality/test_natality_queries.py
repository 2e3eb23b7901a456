"""The texts of the queries; what they return is tested on a service."""

import pytest

from tf_dataflow_serving.natality.csv_output import COLUMNS
from tf_dataflow_serving.natality.queries import InvalidTableName, source_query, statistics_query

TABLES = [
    "samples.natality",
    "local-project.samples.natality",
    "bigquery-public-data.samples.natality",
    "example.com:project.samples.natality",
    "p.d.table-2017",
]


@pytest.mark.parametrize("table", TABLES)
def test_source_query_names_table_and_limit(table: str) -> None:
    query = source_query(table, 10_000)
    assert f"`{table}`" in query
    assert query.rstrip().endswith("LIMIT 10000")


def test_source_query_selects_the_columns_of_the_output_as_the_original_did() -> None:
    query = source_query("samples.natality", 1)
    assert all(f"  {name}" in query for name in COLUMNS[:-1])
    positive = ("weight_pounds", "mother_age", "plurality", "gestation_weeks", "month")
    assert all(f"{name} > 0" in query for name in positive)
    assert "year > 2000" in query


@pytest.mark.parametrize("table", TABLES)
def test_statistics_query_names_the_table(table: str) -> None:
    assert f"`{table}`" in statistics_query(table)


@pytest.mark.parametrize(
    "table", ["", "natality", "a.b.c.d", "d.t` WHERE 1=1 --", "d.t; DROP TABLE x", "d t.t", "d.t\n"]
)
def test_what_is_no_tables_name_gets_into_no_query(table: str) -> None:
    with pytest.raises(InvalidTableName, match="not a table's name"):
        source_query(table, 1)
    with pytest.raises(InvalidTableName, match="not a table's name"):
        statistics_query(table)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_is_positive(limit: int) -> None:
    with pytest.raises(ValueError, match="limit must be positive"):
        source_query("samples.natality", limit)
