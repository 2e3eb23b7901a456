"""What the domain costs for each element of a pipeline."""

from datetime import UTC, datetime
from typing import Any

from tf_dataflow_serving.natality.csv_output import to_csv
from tf_dataflow_serving.natality.generator import generate, instances, rows, to_arrow
from tf_dataflow_serving.natality.instance import from_row
from tf_dataflow_serving.natality.messages import Message, decode, encode, prediction_row
from tf_dataflow_serving.natality.validation import validate

(BIRTH,) = instances(1, seed=1)
ROW = next(rows(generate(1, seed=1)))
MOMENT = datetime(2017, 10, 1, tzinfo=UTC)


def test_validate(benchmark: Any) -> None:
    assert benchmark(validate, dict(BIRTH)) == BIRTH


def test_from_row(benchmark: Any) -> None:
    assert benchmark(from_row, ROW)


def test_encode(benchmark: Any) -> None:
    assert benchmark(encode, BIRTH, 1, MOMENT)


def test_decode(benchmark: Any) -> None:
    assert benchmark(decode, *encode(BIRTH, 1, MOMENT)) == Message(1, MOMENT, BIRTH)


def test_prediction_row(benchmark: Any) -> None:
    assert benchmark(prediction_row, Message(1, MOMENT, BIRTH), 7.0, MOMENT)


def test_to_csv(benchmark: Any) -> None:
    assert benchmark(to_csv, {**BIRTH, "weight_pounds": 7.5}, 7.25)


def test_generate_a_million_rows(benchmark: Any) -> None:
    columns = benchmark.pedantic(generate, (1_000_000, 1), rounds=2)
    assert len(columns["year"]) == 1_000_000


def test_rows_of_a_hundred_thousand(benchmark: Any) -> None:
    columns = generate(100_000, seed=1)
    assert benchmark.pedantic(lambda: sum(1 for _ in rows(columns)), rounds=3) == 100_000


def test_arrow_of_a_million_rows(benchmark: Any) -> None:
    columns = generate(1_000_000, seed=1)
    assert benchmark.pedantic(to_arrow, (columns,), rounds=3).num_rows == 1_000_000
