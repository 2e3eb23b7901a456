"""Each of the eleven experiments, through real services, checked row by row."""

from pathlib import Path

import pytest

from tf_dataflow_serving.cli.session import SAMPLE_SEED
from tf_dataflow_serving.experiments.demo import BAD_MESSAGES, Demo, Outcome, Sizes
from tf_dataflow_serving.experiments.matrix import COMBINATIONS, Combination
from tf_dataflow_serving.experiments.simulate import Load
from tf_dataflow_serving.experiments.verification import Difference, expected_of_samples
from tf_dataflow_serving.flags import Experiment
from tf_dataflow_serving.services.stack import Stack

SAMPLE_ROWS = 3_000  # as many as the stack of the tests has
STREAM = Load(messages=120, messages_per_second=60.0, seed=3)


@pytest.fixture
def demo(on_stack: Stack, tmp_path: Path) -> Demo:
    sizes = Sizes(SAMPLE_ROWS, SAMPLE_SEED, STREAM)
    return Demo(on_stack.endpoints.project, sizes, tmp_path, lambda _combination, _part: None)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_every_row_is_written_once_and_right(demo: Demo, combination: Combination) -> None:
    outcome = demo.run(combination)
    assert outcome.difference == Difference(0, 0, 0)
    assert outcome.result.seconds > 0
    assert outcome.result.cpu_seconds > 0
    if combination.experiment.is_streaming:
        check_stream(outcome)
    else:
        check_batch(outcome)


def check_batch(outcome: Outcome) -> None:
    expected = expected_of_samples(SAMPLE_ROWS, SAMPLE_SEED)
    assert expected.invalid, "the sample must hold rows for the dead letters"
    assert outcome.result.estimates == len(expected.valid)
    assert outcome.result.dead_letters == len(expected.invalid)


def check_stream(outcome: Outcome) -> None:
    assert outcome.result.estimates == STREAM.messages
    assert outcome.result.dead_letters == len(BAD_MESSAGES)
    sizes, statistics = outcome.result.batch_sizes, outcome.statistics
    assert sizes is not None and statistics is not None
    assert round(sizes.mean * sizes.calls) == STREAM.messages
    assert statistics.distinct_row_count == STREAM.messages
    assert statistics.min_latency_seconds is not None and statistics.min_latency_seconds > 0
    if outcome.combination.experiment is Experiment.STREAM_MICRO_BATCHES:
        assert sizes.maximum > 1
