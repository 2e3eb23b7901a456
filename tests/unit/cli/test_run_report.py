"""What `run` says of a run that is over."""

import argparse
from dataclasses import replace

import orjson
import pytest

from tf_dataflow_serving import flags
from tf_dataflow_serving.cli.run import FINISHED, _report_json, _report_text
from tf_dataflow_serving.cli.run_arguments import RunArguments, complete
from tf_dataflow_serving.cli.service_arguments import add_service_arguments
from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.runners.result import BatchSizes, RunResult

RESULT = RunResult(
    experiment="batch",
    inference_type="vertex",
    seconds=2.0,
    cpu_seconds=1.5,
    estimates=1_990,
    dead_letters=10,
    batch_sizes=BatchSizes(2, 990, 995.0, 1_000),
)


@pytest.fixture
def chosen() -> RunArguments:
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser)
    add_service_arguments(parser, *Services)
    parsed = parser.parse_args(["--inference_type=vertex"])
    extra = {"beam_flags": [], "runner": "DirectRunner", "project": None, "json": False}
    return complete(argparse.Namespace(**vars(parsed), **extra, bq_dataset=None, bq_table=None))


def test_a_run_that_was_not_throttled_says_nothing_of_it(
    chosen: RunArguments, capsys: pytest.CaptureFixture[str]
) -> None:
    _report_text(chosen, FINISHED, RESULT)
    assert "batch vertex: 2,000 rows in 2.0 s" in (out := capsys.readouterr().out)
    assert "waited" not in out


def test_a_run_says_how_long_the_service_made_it_wait(
    chosen: RunArguments, capsys: pytest.CaptureFixture[str]
) -> None:
    throttled = replace(RESULT, throttled_seconds=1_234)
    _report_text(chosen, FINISHED, throttled)
    assert "waited because the prediction service asked for it: 1,234 s" in capsys.readouterr().out
    _report_json(chosen, FINISHED, throttled)
    assert orjson.loads(capsys.readouterr().out)["throttled_seconds"] == 1_234
