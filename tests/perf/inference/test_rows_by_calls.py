"""The batch experiment by online prediction: 1,000 rows a call, and one row a call.

Both read, predict and write on the same services, one after the other: 100,000 rows the one,
10,000 the other, which would take minutes for all. What is compared is rows a second.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tf_dataflow_serving.cli.session import fresh_stack
from tf_dataflow_serving.experiments.run_process import started
from tf_dataflow_serving.services.stack import Stack

ROWS = 100_000
SINGLE_ROWS = 10_000
# About one in twenty is not read by the original's query.
GENERATED_ROWS = 106_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with fresh_stack(GENERATED_ROWS) as running:
        yield running


def rows_per_second(stack: Stack, log: Path, rows: int, batch_size: int) -> float:
    flags = [
        "--experiment=batch",
        "--inference_type=cmle",
        f"--sample_size={rows}",
        f"--batch_size={batch_size}",
        "--output=gs://perf/rows",
    ]
    with started(flags, log, stack.endpoints.environment(os.environ)) as process:
        result = process.result()
    assert result.rows == rows
    return rows / result.seconds


def test_a_thousand_rows_a_call_beside_one(benchmark, stack, tmp_path):
    log = tmp_path / "log"
    batches = benchmark.pedantic(rows_per_second, (stack, log, ROWS, 1_000), rounds=1)
    single = rows_per_second(stack, log, SINGLE_ROWS, 1)
    benchmark.extra_info["rows_per_second"] = round(batches)
    benchmark.extra_info["rows_per_second_one_a_call"] = round(single)
    benchmark.extra_info["ratio"] = round(batches / single, 1)
