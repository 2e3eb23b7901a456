"""What clients write in SQL, and in rows, that bqemulator alone answers wrongly."""

from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

TIMEOUT = 30
LEGACY = bigquery.QueryJobConfig(use_legacy_sql=True)
WKT = "POINT(30 10)"


@pytest.fixture
def client(redirected: Any) -> Any:
    with bigquery.Client() as client:
        yield client


@pytest.fixture
def dataset(client: Any) -> Any:
    name = f"dialects_{uuid4().hex}"
    client.create_dataset(name, timeout=TIMEOUT)
    yield name
    client.delete_dataset(name, delete_contents=True, timeout=TIMEOUT)


def _table(client: Any, dataset: str, schema: list[SchemaField], rows: list[Any]) -> str:
    name = f"{client.project}.{dataset}.t"
    client.create_table(bigquery.Table(name, schema), timeout=TIMEOUT, retry=None)
    assert not client.insert_rows_json(name, rows, timeout=TIMEOUT, retry=None)
    return name


def _rows(client: Any, sql: str, config: Any = None) -> list[dict[str, Any]]:
    rows = client.query_and_wait(sql, job_config=config, retry=None, api_timeout=TIMEOUT)
    return [dict(row) for row in rows]


@pytest.fixture
def words(client: Any, dataset: str) -> str:
    schema = [SchemaField("word", "STRING"), SchemaField("n", "INTEGER")]
    _table(client, dataset, schema, [{"word": "a", "n": 1}, {"word": "b", "n": 2}])
    return dataset


def test_a_comma_in_legacy_sql_is_a_union(client, words) -> None:
    sql = f"SELECT word, INTEGER(STRING(n)) FROM [{words}.t], [{client.project}:{words}.t]"  # noqa: S608
    found = _rows(client, sql, LEGACY)
    assert sorted(row["word"] for row in found) == ["a", "a", "b", "b"]
    assert {row["f0_"] for row in found} == {1, 2}


def test_legacy_sql_is_written_to_a_destination(client, words) -> None:
    target = f"{client.project}.{words}.out"
    config = bigquery.QueryJobConfig(use_legacy_sql=True, destination=target)
    sql = f"SELECT n FROM [{words}.t]"  # noqa: S608
    job = client.query(sql, job_config=config, retry=None, timeout=TIMEOUT)
    job.result(timeout=TIMEOUT, retry=None)
    assert sorted(row["n"] for row in client.list_rows(target, timeout=TIMEOUT)) == [1, 2]
    kept = client.get_job(job.job_id, timeout=TIMEOUT)
    assert (kept.query, kept.use_legacy_sql) == (sql, True)


def test_a_query_that_names_no_dialect_is_in_legacy_sql(client, words) -> None:
    path = f"/projects/{client.project}/queries"
    body = {"query": f"SELECT COUNT(*) FROM [{words}.t], [{words}.t]"}  # noqa: S608
    answer = client._connection.api_request("POST", path, data=body, timeout=TIMEOUT)
    assert answer["rows"] == [{"f": [{"v": "4"}]}]


def test_legacy_sql_that_is_not_understood_is_refused(client, words) -> None:
    with pytest.raises(BadRequest, match="TABLE_DATE_RANGE"):
        _rows(client, f"SELECT n FROM TABLE_DATE_RANGE([{words}.t], NOW(), NOW())", LEGACY)  # noqa: S608


SHAPES = [
    SchemaField("id", "INTEGER"),
    SchemaField("g", "GEOGRAPHY"),
    SchemaField("path", "GEOGRAPHY", "REPEATED"),
    SchemaField("r", "RECORD", fields=[SchemaField("g", "GEOGRAPHY")]),
]
SHAPE = {"id": 1, "g": WKT, "path": [WKT, "LINESTRING(0 0, 1 1)"], "r": {"g": WKT}}


@pytest.fixture
def shapes(client: Any, dataset: str) -> str:
    return _table(client, dataset, SHAPES, [SHAPE])


def test_geography_is_read_as_text(client, shapes) -> None:
    sql = f"SELECT *, ST_ASTEXT(g) AS t, ST_GEOGPOINT(1, 2) AS p FROM `{shapes}`"  # noqa: S608
    assert _rows(client, sql) == [{**SHAPE, "t": WKT, "p": "POINT(1 2)"}]
    assert [dict(row) for row in client.list_rows(shapes, timeout=TIMEOUT)] == [SHAPE]


def test_geography_has_its_type_in_a_result(client, shapes) -> None:
    result = client.query_and_wait(f"SELECT g, path FROM `{shapes}`", api_timeout=TIMEOUT)  # noqa: S608
    types = [(field.field_type, field.mode) for field in result.schema]
    assert types == [("GEOGRAPHY", "NULLABLE"), ("GEOGRAPHY", "REPEATED")]


def test_geography_is_kept_by_a_query_with_a_destination(client, shapes) -> None:
    target = f"{shapes}_2"
    config = bigquery.QueryJobConfig(destination=target)
    client.query(f"SELECT * FROM `{shapes}`", job_config=config).result(timeout=TIMEOUT)  # noqa: S608
    assert [dict(row) for row in client.list_rows(target, timeout=TIMEOUT)] == [SHAPE]
    assert client.get_table(target, timeout=TIMEOUT).schema[1].field_type == "GEOGRAPHY"


def test_what_is_no_geography_is_told_row_by_row(client, shapes) -> None:
    errors = client.insert_rows_json(shapes, [{"g": "POINT(1 91)"}], timeout=TIMEOUT, retry=None)
    assert [error["errors"][0]["location"] for error in errors] == ["g"]


def test_a_file_with_no_geography_fails_its_job(client, shapes, tmp_path) -> None:
    path = tmp_path / "shapes.parquet"
    pq.write_table(pa.table({"id": [2], "g": ["nothing"]}), path)
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    with path.open("rb") as file, pytest.raises(BadRequest, match="geography"):
        job = client.load_table_from_file(file, shapes, job_config=config, timeout=TIMEOUT)
        job.result(timeout=TIMEOUT, retry=None)
    assert client.get_table(shapes, timeout=TIMEOUT).num_rows == 1


NESTED = [
    SchemaField("id", "INTEGER"),
    SchemaField("doc", "JSON"),
    SchemaField("docs", "JSON", "REPEATED"),
    SchemaField("items", "RECORD", "REPEATED", fields=[SchemaField("fruit", "STRING")]),
]


@pytest.fixture
def nested(client: Any, dataset: str) -> str:
    row = {
        "id": 1,
        "doc": '{"entries": [10, {"key": "value"}]}',
        "docs": ['{"n": 0}', '{"n": 1}'],
        "items": [{"fruit": "apple"}, {"fruit": "fig"}],
    }
    return _table(client, dataset, NESTED, [row])


@pytest.mark.parametrize(
    ("access", "value"),
    [
        ("doc.entries[0]", 10),
        ('doc["entries"][1]["key"]', "value"),
        ('docs[OFFSET(1)]["n"]', 1),
        ("docs[ORDINAL(1)].n", 0),
        ('STRING(doc.entries[1]["key"])', "value"),
    ],
)
def test_subscripts_of_json(client, nested, access, value) -> None:
    assert _rows(client, f"SELECT {access} AS v FROM `{nested}`") == [{"v": value}]  # noqa: S608


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT fruit FROM `{}`, UNNEST(items) AS items",
        "SELECT items.fruit FROM `{}`, UNNEST(items) AS items",
        "SELECT fruit FROM `{}` CROSS JOIN UNNEST(items) WHERE id = 1",
        "SELECT * EXCEPT (id, doc, docs, items) FROM `{}`, UNNEST(items)",
    ],
)
def test_fields_of_array_items_are_columns(client, nested, sql) -> None:
    found = _rows(client, f"{sql.format(nested)} ORDER BY fruit")
    assert found == [{"fruit": "apple"}, {"fruit": "fig"}]


def test_a_star_keeps_every_column_beside_a_function(client, nested) -> None:
    (row,) = _rows(client, f"SELECT *, SAFE_DIVIDE(id, 2) AS half FROM `{nested}`")  # noqa: S608
    assert list(row) == ["id", "doc", "docs", "items", "half"]


def test_tables_of_one_name_are_told_apart(client, dataset, nested) -> None:
    other = f"{dataset}_other"
    client.create_dataset(other, timeout=TIMEOUT)
    try:
        table = _table(client, other, [SchemaField("x", "STRING")], [{"x": "y"}])
        sql = f"SELECT b.*, SAFE_DIVIDE(a.id, 2) AS half FROM `{nested}` a, `{table}` b"  # noqa: S608
        assert _rows(client, sql) == [{"x": "y", "half": 0.5}]
    finally:
        client.delete_dataset(other, delete_contents=True, timeout=TIMEOUT)
