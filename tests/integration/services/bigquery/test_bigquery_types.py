"""Every type by every path, with the clients that people use."""

import datetime as dt
import io
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery, storage
from google.cloud.bigquery import SchemaField

PROJECT = "local-project"
TIMEOUT = 60
HIGHEST = "578960446186580977117854925043439539266.34992332820282019728792003956564819967"

SCHEMA = [
    SchemaField("i", "INT64"),
    SchemaField("f", "FLOAT64"),
    SchemaField("n", "NUMERIC"),
    SchemaField("bn", "BIGNUMERIC"),
    SchemaField("b", "BOOL"),
    SchemaField("s", "STRING"),
    SchemaField("by", "BYTES"),
    SchemaField("d", "DATE"),
    SchemaField("t", "TIME"),
    SchemaField("Order", "DATETIME"),
    SchemaField("ts", "TIMESTAMP"),
    SchemaField("j", "JSON"),
]
NESTED = [
    *SCHEMA,
    SchemaField("a", "INT64", "REPEATED"),
    SchemaField("bns", "BIGNUMERIC", "REPEATED"),
    SchemaField("js", "JSON", "REPEATED"),
    SchemaField(
        "st", "STRUCT", fields=[*SCHEMA, SchemaField("rs", "STRUCT", "REPEATED", fields=SCHEMA)]
    ),
]
LOW = {
    "i": -(2**63),
    "f": "-Infinity",
    "n": "-99999999999999999999999999999.999999999",
    "bn": f"-{HIGHEST}",
    "b": False,
    "s": "",
    "by": "",
    "d": "0001-01-01",
    "t": "00:00:00",
    "Order": "0001-01-01T00:00:00",
    "ts": "0001-01-01T00:00:00Z",
    "j": "null",
}
HIGH = {
    "i": 2**63 - 1,
    "f": 0.1,
    "n": "0.000000001",
    "bn": HIGHEST,
    "b": True,
    "s": 'Zoë\u2028"x",\n\U0001f600',
    "by": "AP+/",
    "d": "9999-12-31",
    "t": "23:59:59.999999",
    "Order": "9999-12-31T23:59:59.999999",
    "ts": "9999-12-31T23:59:59.999999Z",
    "j": json.dumps({"a": [1, 2.5, None, "x"], "b": {}}),
}
ROWS = [
    {
        **HIGH,
        "a": [1, -1],
        "bns": ["0", HIGHEST],
        "js": ['"x"', "[1]"],
        "st": {**LOW, "rs": [HIGH, LOW]},
    },
    {**LOW, "a": [], "st": {"rs": []}},
    {},
]
EXPECTED = {
    "i": 2**63 - 1,
    "f": 0.1,
    "n": Decimal("0.000000001"),
    "bn": Decimal(HIGHEST),
    "b": True,
    "s": 'Zoë\u2028"x",\n\U0001f600',
    "by": b"\x00\xff\xbf",
    "d": dt.date(9999, 12, 31),
    "t": dt.time(23, 59, 59, 999999),
    "Order": dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
    "ts": dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC),
    "j": {"a": [1, 2.5, None, "x"], "b": {}},
}


def listed(client: bigquery.Client, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in client.list_rows(table, timeout=TIMEOUT)]


def types_of(fields: Any) -> list[Any]:
    return [(f.name, f.field_type, f.mode, types_of(f.fields)) for f in fields]


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    name = f"{PROJECT}.{dataset}.types"
    client.create_table(bigquery.Table(name, NESTED), timeout=TIMEOUT)
    assert client.insert_rows_json(name, ROWS, timeout=TIMEOUT) == []
    return name


def test_streamed_rows_are_read_as_they_were_sent(client: bigquery.Client, table: str) -> None:
    high, low, nothing = listed(client, table)
    assert {name: high[name] for name in EXPECTED} == EXPECTED
    assert (high["a"], high["bns"], high["js"]) == ([1, -1], [0, Decimal(HIGHEST)], ["x", [1]])
    assert {name: high["st"]["rs"][0][name] for name in EXPECTED} == EXPECTED
    assert low["f"] == -math.inf
    assert low["bn"] == high["st"]["bn"] == Decimal(f"-{HIGHEST}")
    assert (low["s"], low["by"], low["a"], low["bns"]) == ("", b"", [], [])
    assert nothing["st"] is None
    assert (nothing["a"], nothing["i"]) == ([], None)


Write = Callable[[bigquery.Client, str, str, storage.Bucket], Any]


def by_copy(client: bigquery.Client, source: str, target: str, _bucket: storage.Bucket) -> Any:
    return client.copy_table(source, target, timeout=TIMEOUT)


def by_query(client: bigquery.Client, source: str, target: str, _bucket: storage.Bucket) -> Any:
    config = bigquery.QueryJobConfig(destination=target)
    sql = f"SELECT * FROM `{source}`"  # noqa: S608
    return client.query(sql, job_config=config, timeout=TIMEOUT)


def by_ctas(client: bigquery.Client, source: str, target: str, _bucket: storage.Bucket) -> Any:
    sql = f"CREATE TABLE `{target}` AS SELECT * FROM `{source}`"  # noqa: S608
    return client.query(sql, timeout=TIMEOUT)


def by_insert(client: bigquery.Client, source: str, target: str, _bucket: storage.Bucket) -> Any:
    client.create_table(bigquery.Table(target, NESTED), timeout=TIMEOUT)
    sql = f"INSERT INTO `{target}` SELECT * FROM `{source}`"  # noqa: S608
    return client.query(sql, timeout=TIMEOUT)


def by_load(client: bigquery.Client, _source: str, target: str, _bucket: storage.Bucket) -> Any:
    config = bigquery.LoadJobConfig(schema=NESTED)
    rows = [_with_raw_json(row) for row in ROWS]
    return client.load_table_from_json(rows, target, job_config=config, timeout=TIMEOUT)


def _with_raw_json(row: dict[str, Any]) -> dict[str, Any]:
    """In JSON files a JSON value is not text, as it is in insertAll."""
    raw = {name: json.loads(row[name]) for name in ("j",) if name in row}
    lists = {name: [json.loads(each) for each in row[name]] for name in ("js",) if name in row}
    st = {"st": _with_raw_json(row["st"])} if "st" in row else {}
    rs = {"rs": [_with_raw_json(each) for each in row["rs"]]} if "rs" in row else {}
    return {**row, **raw, **lists, **st, **rs}


def by_files(name: str, schema: Any, **options: Any) -> Write:
    def write(client: bigquery.Client, source: str, target: str, bucket: storage.Bucket) -> Any:
        uri = f"gs://{bucket.name}/x-*"
        out = bigquery.ExtractJobConfig(destination_format=name, **options)
        client.extract_table(source, uri, job_config=out, timeout=TIMEOUT).result(timeout=TIMEOUT)
        back = bigquery.LoadJobConfig(source_format=name, schema=schema, **options)
        return client.load_table_from_uri(uri, target, job_config=back, timeout=TIMEOUT)

    return write


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(by_copy, id="copy"),
        pytest.param(by_query, id="query"),
        pytest.param(by_ctas, id="ctas"),
        pytest.param(by_insert, id="insert"),
        pytest.param(by_load, id="load"),
        pytest.param(by_files("NEWLINE_DELIMITED_JSON", NESTED), id="json"),
        pytest.param(by_files("AVRO", NESTED, use_avro_logical_types=True), id="avro"),
        pytest.param(by_files("AVRO", NESTED), id="avro without logical types"),
        pytest.param(by_files("PARQUET", NESTED), id="parquet"),
    ],
)
def test_rows_go_from_table_to_table_unchanged(
    client: bigquery.Client, table: str, bucket: storage.Bucket, write: Write
) -> None:
    target = f"{table}_target"
    write(client, table, target, bucket).result(timeout=TIMEOUT)
    assert listed(client, target) == listed(client, table)
    assert types_of(client.get_table(target).schema) == types_of(client.get_table(table).schema)


def test_scalars_go_through_csv(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket
) -> None:
    name = f"{PROJECT}.{dataset}.scalars"
    client.create_table(bigquery.Table(name, SCHEMA), timeout=TIMEOUT)
    assert client.insert_rows_json(name, [HIGH, {**LOW, "f": "NaN"}], timeout=TIMEOUT) == []
    uri = f"gs://{bucket.name}/x.csv"
    client.extract_table(name, uri, timeout=TIMEOUT).result(timeout=TIMEOUT)
    config = bigquery.LoadJobConfig(
        schema=SCHEMA, skip_leading_rows=1, allow_quoted_newlines=True, null_marker="\\N"
    )
    job = client.load_table_from_uri(uri, f"{name}_b", job_config=config, timeout=TIMEOUT)
    job.result(timeout=TIMEOUT)
    # NaN is no equal of itself.
    assert repr(listed(client, f"{name}_b")) == repr(listed(client, name))


def test_arrow_has_the_types_by_rest_and_by_the_storage_api(
    client: bigquery.Client, reader: Any, dataset: str
) -> None:
    name = f"{PROJECT}.{dataset}.arrow"
    client.create_table(bigquery.Table(name, NESTED), timeout=TIMEOUT)
    # The client itself builds decimals of at most 76 digits from REST.
    narrow = {**HIGH, "bn": "1.5"}
    row = {**narrow, "bns": ["1e-38"], "st": {**narrow, "rs": [narrow]}}
    assert client.insert_rows_json(name, [row, {}], timeout=TIMEOUT) == []
    by_rest = client.list_rows(name).to_arrow(create_bqstorage_client=False)
    by_storage = client.list_rows(name).to_arrow(bqstorage_client=reader)
    assert by_rest.column("bn").type == by_storage.column("bn").type == pa.decimal256(76, 38)
    assert by_rest.column("bn").to_pylist() == by_storage.column("bn").to_pylist()
    assert by_rest.column("ts").to_pylist()[0] == by_storage.column("ts").to_pylist()[0]


class TestBignumericSql:
    @pytest.fixture
    def numbers(self, client: bigquery.Client, dataset: str) -> str:
        name = f"{PROJECT}.{dataset}.numbers"
        fields = [SchemaField("Id", "INT64"), SchemaField("bn", "BIGNUMERIC")]
        client.create_table(bigquery.Table(name, fields), timeout=TIMEOUT)
        rows = [{"Id": 1, "bn": HIGHEST}, {"Id": 2, "bn": "-1.5"}, {"Id": 3, "bn": "10.25"}]
        assert client.insert_rows_json(name, rows, timeout=TIMEOUT) == []
        return name

    @pytest.mark.parametrize(
        ("select", "value", "kind"),
        [
            ("MAX(bn) FROM t", Decimal(HIGHEST), "BIGNUMERIC"),
            ("SUM(bn) FROM t WHERE Id > 1", Decimal("8.75"), "BIGNUMERIC"),
            ("AVG(bn) FROM t WHERE Id > 1", Decimal("4.375"), "BIGNUMERIC"),
            ("COUNT(DISTINCT bn) FROM t", 3, "INTEGER"),
            ("CAST(bn AS STRING) FROM t WHERE Id = 1", HIGHEST, "STRING"),
            ("CAST(bn AS FLOAT64) FROM t WHERE Id = 3", 10.25, "FLOAT"),
            ("CAST(bn AS NUMERIC) FROM t WHERE Id = 3", Decimal("10.25"), "NUMERIC"),
            ("bn * 2 + 1 FROM t WHERE Id = 3", Decimal("21.5"), "BIGNUMERIC"),
            ("bn / 0.5 FROM t WHERE Id = 3", 20.5, "FLOAT"),
            ("-bn FROM t WHERE bn < 0", Decimal("1.5"), "BIGNUMERIC"),
            ("Id FROM t WHERE bn > 1 AND bn < 11", 3, "INTEGER"),
            ("Id FROM t WHERE bn BETWEEN -2 AND 0", 2, "INTEGER"),
            ("Id FROM t WHERE bn = @x", 1, "INTEGER"),
            ("Id FROM t WHERE bn IN (10.25)", 3, "INTEGER"),
            ("Id FROM t ORDER BY bn LIMIT 1", 2, "INTEGER"),
            (
                "SUM(y) FROM (SELECT bn + 1 AS y FROM t WHERE Id > 1)",
                Decimal("10.75"),
                "BIGNUMERIC",
            ),
            ("COALESCE(NULL, BIGNUMERIC '1e-38')", Decimal("1e-38"), "BIGNUMERIC"),
            ("SAFE_CAST('x' AS BIGNUMERIC)", None, "BIGNUMERIC"),
        ],
    )
    def test_is_exact(
        self, client: bigquery.Client, numbers: str, select: str, value: Any, kind: str
    ) -> None:
        sql = f"SELECT {select}".replace("FROM t", f"FROM `{numbers}`")
        parameter = bigquery.ScalarQueryParameter("x", "BIGNUMERIC", Decimal(HIGHEST))
        config = bigquery.QueryJobConfig(query_parameters=[parameter])
        result = client.query(sql, job_config=config, timeout=TIMEOUT).result(timeout=TIMEOUT)
        assert [tuple(row.values()) for row in result] == [(value,)]
        assert [field.field_type for field in result.schema] == [kind]

    @pytest.mark.parametrize(
        "select",
        [
            f"bn + 1 FROM t WHERE bn = BIGNUMERIC '{HIGHEST}'",
            "CAST(bn AS NUMERIC) FROM t WHERE Id = 1",
            "TO_JSON_STRING(bn) FROM t",
            "BIGNUMERIC '6e38'",
        ],
    )
    def test_is_an_error_rather_than_wrong(
        self, client: bigquery.Client, numbers: str, select: str
    ) -> None:
        sql = f"SELECT {select}".replace("FROM t", f"FROM `{numbers}`")
        with pytest.raises(BadRequest):
            client.query(sql, timeout=TIMEOUT).result(timeout=TIMEOUT)


def test_numeric_columns_of_sql_have_all_their_digits(
    client: bigquery.Client, dataset: str
) -> None:
    number = "99999999999999999999999999999.999999999"
    name = f"{PROJECT}.{dataset}.sql"
    values = f"NUMERIC '{number}', JSON '1', STRUCT(BIGNUMERIC '{HIGHEST}')"
    for sql in (
        f"CREATE TABLE `{name}` (n NUMERIC, j JSON, r STRUCT<`by` BIGNUMERIC>)",
        f"INSERT INTO `{name}` VALUES ({values})",  # noqa: S608
    ):
        client.query(sql, timeout=TIMEOUT).result(timeout=TIMEOUT)
    assert listed(client, name) == [{"n": Decimal(number), "j": 1, "r": {"by": Decimal(HIGHEST)}}]
    assert [field.field_type for field in client.get_table(name).schema] == [
        "NUMERIC",
        "JSON",
        "RECORD",
    ]


def test_json_files_hold_json_values_as_they_are(client: bigquery.Client, dataset: str) -> None:
    name = f"{PROJECT}.{dataset}.json"
    config = bigquery.LoadJobConfig(schema=[SchemaField("j", "JSON")])
    lines = b'{"j": {"a": [1]}}\n{"j": "[1]"}\n{"j": null}\n{"j": 1.5}\n{"j": true}\n'
    client.load_table_from_file(
        io.BytesIO(lines),
        name,
        job_config=bigquery.LoadJobConfig(
            schema=config.schema, source_format="NEWLINE_DELIMITED_JSON"
        ),
        timeout=TIMEOUT,
    ).result(timeout=TIMEOUT)
    values = [row["j"] for row in listed(client, name)]
    assert values == [{"a": [1]}, "[1]", None, 1.5, True]
