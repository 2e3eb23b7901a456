"""Tables without a dataset in SQL for the other emulator."""

import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery, InvalidRequest
from tf_dataflow_serving.services.bigquery.upstream.qualifying import qualified


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 'é' FROM t", "SELECT 'é' FROM `d`.t"),
        ("SELECT * FROM `t` a, a.items", "SELECT * FROM `d`.`t` a, a.items"),
        ("SELECT 1 FROM x.t JOIN `p.x.t` USING (a)", None),
        ("WITH c AS (SELECT 1) SELECT * FROM C", None),
        (
            "WITH c AS (SELECT 1 FROM t) SELECT * FROM c",
            "WITH c AS (SELECT 1 FROM `d`.t) SELECT * FROM c",
        ),
        ("SELECT * FROM UNNEST([1]) AS t", None),
        ("CREATE TEMP TABLE tmp AS SELECT 1; SELECT * FROM tmp", None),
        ("SELECT table_name FROM x.INFORMATION_SCHEMA.TABLES", None),
        ("INSERT INTO t (a) SELECT a FROM u", "INSERT INTO `d`.t (a) SELECT a FROM `d`.u"),
        ("CREATE TABLE t (a INT64)", "CREATE TABLE `d`.t (a INT64)"),
        ("DELETE FROM t WHERE TRUE; SELECT 1", "DELETE FROM `d`.t WHERE TRUE; SELECT 1"),
        ("SELEC * FROM t", None),
    ],
)
def test_the_default_dataset_is_put_before_tables_without_one(sql, expected):
    assert qualified(sql, "d") == (sql if expected is None else expected)


def test_a_table_without_any_dataset_is_refused():
    with pytest.raises(InvalidQuery, match='"t" must be qualified with a dataset'):
        qualified("SELECT * FROM x.u JOIN t USING (a)", "")
    assert qualified("SELECT * FROM x.u", "") == "SELECT * FROM x.u"


def test_a_dataset_that_ends_its_quotes_is_refused():
    with pytest.raises(InvalidRequest, match="Invalid name"):
        qualified("SELECT * FROM t", "d`")
