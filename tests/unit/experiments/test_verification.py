"""The check of the experiments: shown to see every kind of fault."""

from collections.abc import Callable

import pytest

from tf_dataflow_serving.experiments.verification import (
    Difference,
    Expected,
    Line,
    compare,
    expected_of_samples,
)
from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.natality.generator import instances

INSTANCES = list(instances(3, seed=1))
EXPECTED = Expected(
    [((str(number),), instance) for number, instance in enumerate(INSTANCES)], ["bad", "worse"]
)

Estimates = list[tuple[Line, float]]


@pytest.fixture(scope="module")
def right() -> Estimates:
    return [((str(n),), weight) for n, weight in enumerate(estimate_local(INSTANCES))]


def test_everything_once_and_right_is_no_difference(right: Estimates) -> None:
    difference = compare(EXPECTED, reversed(right), ["worse", "bad"])
    assert difference.is_none


@pytest.mark.parametrize(
    ("fault", "difference"),
    [
        (lambda right: right[1:], Difference(1, 0, 0)),
        (lambda right: [*right, right[0]], Difference(0, 1, 0)),
        (lambda right: [*right, (("9",), 7.0)], Difference(0, 1, 0)),
        (lambda right: [(right[0][0], right[0][1] + 0.01), *right[1:]], Difference(0, 0, 1)),
        (lambda right: [(right[0][0], float("nan")), *right[1:]], Difference(0, 0, 1)),
        (lambda right: [(right[1][0], right[0][1]), *right[1:]], Difference(1, 1, 1)),
        (lambda _: [], Difference(3, 0, 0)),
    ],
)
def test_faults_of_estimates_are_counted(
    right: Estimates, fault: Callable[[Estimates], Estimates], difference: Difference
) -> None:
    found = compare(EXPECTED, fault(right), EXPECTED.invalid)
    assert found == difference
    assert not found.is_none


@pytest.mark.parametrize(
    ("dead", "difference"),
    [
        (["bad"], Difference(1, 0, 0)),
        (["bad", "worse", "worse"], Difference(0, 1, 0)),
        (["bad", "other"], Difference(1, 1, 0)),
    ],
)
def test_faults_of_dead_letters_are_counted(
    right: Estimates, dead: list[str], difference: Difference
) -> None:
    assert compare(EXPECTED, right, dead) == difference


def test_generated_rows_have_both_kinds() -> None:
    expected = expected_of_samples(20_000, seed=2005)
    assert len(expected.valid) > 10_000
    assert expected.invalid
    assert any('"gestation_weeks": 99' in source for source in expected.invalid)
