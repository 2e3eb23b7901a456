"""What is put in the place of Beam's parts, and that those parts are still what they were.

The lists are of apache-beam 2.77: a test that fails here names what another release has changed.
"""

import inspect
import json

import apache_beam as beam
import pytest
from apache_beam.io.gcp import bigquery
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners import common
from apache_beam.runners.direct import (
    direct_runner,
    direct_userstate,
    evaluation_context,
    executor,
    transform_evaluator,
    util,
    watermark_manager,
)
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.runner import PipelineState
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms import sideinputs, trigger

from tf_dataflow_serving.runners.streaming.executor import StreamingExecutor
from tf_dataflow_serving.runners.streaming.installation import (
    _REPLACEMENTS,
    install,
    installed,
    row_size,
)
from tf_dataflow_serving.runners.streaming.pipeline_result import StreamingResult


def in_place() -> list[object]:
    return [getattr(one.owner, one.name) for one in _REPLACEMENTS]


def test_everything_is_put_back() -> None:
    before = in_place()
    with installed():
        assert in_place() == [one.value for one in _REPLACEMENTS]
    assert in_place() == before


def test_everything_is_put_back_after_an_error() -> None:
    before = in_place()
    with pytest.raises(RuntimeError), installed():
        raise RuntimeError
    assert in_place() == before


def test_an_installation_within_another_leaves_that_one() -> None:
    with installed():
        with installed():
            pass
        assert executor.Executor is StreamingExecutor


def test_what_installs_can_be_undone() -> None:
    before = in_place()
    install()()
    assert in_place() == before


def test_outside_of_it_beams_own_runner_runs() -> None:
    pipeline = beam.Pipeline(runner=direct_runner.BundleBasedDirectRunner())
    _ = pipeline | beam.Create([1])
    result = pipeline.run()
    assert not isinstance(result, StreamingResult)
    assert result.wait_until_finish() == PipelineState.DONE


@pytest.mark.parametrize("streaming", [True, False])
def test_direct_runner_does_not_try_to_download_prism(
    streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    monkeypatch.setattr(prism_runner.PrismRunner, "run_pipeline", lambda *_: tried.append(1))
    with installed():
        options = PipelineOptions([], streaming=streaming)
        pipeline = beam.Pipeline(runner="DirectRunner", options=options)
        source = TestStream().add_elements([1]) if streaming else beam.Create([1])
        _ = pipeline | source | beam.Map(str)
        assert pipeline.run().wait_until_finish() == PipelineState.DONE
    assert tried == []


def test_a_rows_size_is_about_that_of_its_json() -> None:
    row = ({"a": 1, "b": "text"}, "id")
    assert row_size(row) == len(json.dumps(row))
    assert row_size(({"a": b"bytes"}, "id")) > 0


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_beams_runner_calls_the_executor_as_before() -> None:
    assert parameters(executor._ExecutorServiceParallelExecutor.__init__) == [
        "self", "value_to_consumers", "transform_evaluator_registry", "evaluation_context"
    ]  # fmt: skip
    for name in ("start", "await_completion", "shutdown"):
        assert hasattr(executor.Executor, name)
    source = inspect.getsource(direct_runner.BundleBasedDirectRunner.run_pipeline)
    assert "executor.start(self.consumer_tracking_visitor.root_transforms)" in source
    assert "DirectPipelineResult(executor, evaluation_context)" in source


def test_beams_evaluation_context_has_what_is_read_of_it() -> None:
    source = inspect.getsource(evaluation_context.EvaluationContext)
    for name in (
        "_step_names", "_transform_keyed_states", "_side_inputs_container", "_watermark_manager",
        "_pcollection_to_views", "def metrics", "def create_empty_committed_bundle",
        "pipeline_options",
    ):  # fmt: skip
        assert name in source, name
    container = evaluation_context._SideInputsContainer
    for name in (
        "add_values", "update_watermarks_for_transform_and_unblock_tasks", "_pvalue_to_value"
    ):  # fmt: skip
        assert hasattr(container, name), name
    assert "_views" in inspect.getsource(container.__init__)
    assert "self._iterable" in inspect.getsource(sideinputs.SideInputMap.__init__)


def test_beams_watermarks_have_what_is_called() -> None:
    watermarks = watermark_manager._TransformWatermarks
    for name in (
        "hold", "refresh", "add_pending", "remove_pending", "input_watermark", "output_watermark"
    ):  # fmt: skip
        assert hasattr(watermarks, name), name
    assert "get_elements_iterable()" in inspect.getsource(watermarks.refresh)
    assert "_clock" in inspect.getsource(watermark_manager.WatermarkManager.__init__)


def test_beams_evaluators_have_what_is_called() -> None:
    evaluator = transform_evaluator._TransformEvaluator
    for name in ("start_bundle", "process_timer_wrapper", "process_element", "finish_bundle"):
        assert hasattr(evaluator, name), name
    assert set(parameters(util.TransformResult.__init__)) >= {
        "uncommitted_output_bundles", "unprocessed_bundles", "keyed_watermark_holds"
    }  # fmt: skip
    assert "partial_keyed_state" in inspect.getsource(util.TransformResult)
    assert parameters(util.TimerFiring.__init__)[1:6] == [
        "encoded_key", "window", "name", "time_domain", "timestamp"
    ]  # fmt: skip


def test_beams_dofn_runner_and_states_have_what_is_called() -> None:
    for name in ("setup", "start", "process", "finish", "teardown", "process_user_timer"):
        assert hasattr(common.DoFnRunner, name), name
    context = direct_userstate.DirectUserStateContext
    assert parameters(context.__init__) == ["self", "step_context", "dofn", "key_coder"]
    assert hasattr(context, "commit")
    assert hasattr(context, "reset")
    state = trigger.InMemoryUnmergedState()
    assert set(vars(state)) == {"timers", "state", "global_state", "defensive_copy"}


def test_beams_sink_has_what_is_replaced() -> None:
    assert hasattr(bigquery._StreamToBigQuery, "InsertIdPrefixFn")
    assert "get_deep_size(" in inspect.getsource(bigquery.BigQueryWriteFn)
