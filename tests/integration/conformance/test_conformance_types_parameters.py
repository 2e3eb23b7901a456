"""Query parameters of every standard type: scalars, arrays, structs and NULL."""

from datetime import datetime
from typing import Any

import pytest
from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter, StructQueryParameter

from .typed_rows import HIGH, LOW, SCALARS

TIMEOUT = 60.0
TYPES = {field.name: field.field_type for field in SCALARS}


# The client writes years before 1000 with fewer than four digits, which no DATETIME has.
EARLY = {**LOW, "datetime": datetime(1000, 1, 1)}
EXTREMES = pytest.mark.parametrize(
    "values", [HIGH, EARLY, dict.fromkeys(HIGH)], ids=["high", "low", "null"]
)


def scalar(name: str, value: Any) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, TYPES[name], value)


def answer(client: bigquery.Client, query: str, *parameters: Any) -> dict[str, Any]:
    config = bigquery.QueryJobConfig(query_parameters=list(parameters))
    (row,) = client.query(query, job_config=config, timeout=TIMEOUT).result(timeout=TIMEOUT)
    return dict(row)


@EXTREMES
def test_named_scalars(client: bigquery.Client, values: dict[str, Any]) -> None:
    query = f"SELECT {', '.join(f'@{name} AS {name}' for name in TYPES)}"
    assert answer(client, query, *(scalar(name, values[name]) for name in TYPES)) == values


def test_positional_scalars(client: bigquery.Client) -> None:
    query = f"SELECT {', '.join(f'? AS {name}' for name in TYPES)}"
    parameters = [ScalarQueryParameter(None, kind, HIGH[name]) for name, kind in TYPES.items()]
    assert answer(client, query, *parameters) == HIGH


def test_arrays(client: bigquery.Client) -> None:
    query = f"SELECT {', '.join(f'@{name} AS {name}' for name in TYPES)}"
    both = {name: [HIGH[name], EARLY[name]] for name in TYPES}
    parameters = [ArrayQueryParameter(name, kind, both[name]) for name, kind in TYPES.items()]
    assert answer(client, query, *parameters) == both


def test_empty_arrays(client: bigquery.Client) -> None:
    query = f"SELECT {', '.join(f'@{name} AS {name}' for name in TYPES)}"
    parameters = [ArrayQueryParameter(name, kind, []) for name, kind in TYPES.items()]
    assert answer(client, query, *parameters) == {name: [] for name in TYPES}


@EXTREMES
def test_structs(client: bigquery.Client, values: dict[str, Any]) -> None:
    fields = [scalar(name, values[name]) for name in TYPES]
    parameter = StructQueryParameter("s", *fields, ArrayQueryParameter("list", "INT64", [1, 2]))
    assert answer(client, "SELECT @s AS s", parameter) == {"s": {**values, "list": [1, 2]}}


def test_arrays_of_structs(client: bigquery.Client) -> None:
    structs = [
        StructQueryParameter(None, *(scalar(name, values[name]) for name in TYPES))
        for values in (HIGH, EARLY)
    ]
    parameter = ArrayQueryParameter("a", "STRUCT", structs)
    assert answer(client, "SELECT @a AS a", parameter) == {"a": [HIGH, EARLY]}


# JSON values cannot be compared (Data types, "JSON type").
@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind != "JSON"])
def test_a_parameter_finds_its_row(client: bigquery.Client, types_table: str, name: str) -> None:
    query = f"SELECT id FROM `{types_table}` WHERE `{name}` = @{name}"  # noqa: S608
    assert answer(client, query, scalar(name, HIGH[name])) == {"id": 1}
