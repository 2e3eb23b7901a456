"""What the demo shows, and how it ends."""

from io import StringIO

import pytest
from rich.console import Console

from tf_dataflow_serving.cli.demo import verdict
from tf_dataflow_serving.experiments.demo import Outcome
from tf_dataflow_serving.experiments.matrix import COMBINATIONS, Combination
from tf_dataflow_serving.experiments.statistics import StreamStatistics
from tf_dataflow_serving.experiments.tables import batch_table, latency_table, stream_table
from tf_dataflow_serving.experiments.verification import Difference
from tf_dataflow_serving.runners.result import BatchSizes, RunResult

RIGHT = Difference(0, 0, 0)


def outcome(combination: Combination, difference: Difference = RIGHT) -> Outcome:
    return Outcome(
        combination,
        RunResult(
            combination.experiment,
            combination.inference_type,
            seconds=1234.5,
            cpu_seconds=2345.6,
            estimates=876_543,
            dead_letters=98_765,
            batch_sizes=BatchSizes(10_000, 765, 987.6, 1_000),
        ),
        difference,
        StreamStatistics(9_876_543, 9_876_543, 1234.5, 0.01, 0.1, 12.3, 0.1, 9.9),
        offered_per_second=1_000.0,
    )


@pytest.mark.parametrize("table", [batch_table, stream_table, latency_table])
def test_large_numbers_fit_a_terminal_of_80_columns(table: object) -> None:
    written = StringIO()
    assert callable(table)
    console = Console(file=written, width=80)
    console.print(table([outcome(combination) for combination in COMBINATIONS]))
    text = written.getvalue()
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    for combination in COMBINATIONS:
        assert str(combination) in text


def test_all_right_ends_with_0() -> None:
    assert verdict([outcome(combination) for combination in COMBINATIONS], 60.0) == 0


@pytest.mark.parametrize(
    "difference", [Difference(1, 0, 0), Difference(0, 1, 0), Difference(0, 0, 1)]
)
def test_one_row_that_is_not_right_ends_with_1(
    difference: Difference, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [outcome(COMBINATIONS[0]), outcome(COMBINATIONS[1], difference)]
    assert verdict(outcomes, 60.0) == 1
    assert str(COMBINATIONS[1]) in capsys.readouterr().err
