"""What the job wrote is joined to the rows, in either form; a row without an estimate is dead."""

import json
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest

from tf_dataflow_serving.inference.batch_job import JobResults
from tf_dataflow_serving.inference.cmle_job import CmleJobResults
from tf_dataflow_serving.inference.vertex_job import VertexJobResults
from tf_dataflow_serving.natality.generator import generate, rows
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines.batch_predict import build_join

ROWS = [{**row, "wday": index} for index, row in enumerate(rows(generate(4, 1)))]


def cmle_line(key: str, estimate: float | None) -> str:
    return json.dumps({"predictions": [estimate], "key": key})


def vertex_line(key: str, estimate: float | None) -> str:
    return json.dumps({"key": key, "prediction": [estimate]})


@pytest.mark.parametrize(
    ("results", "line", "name", "other"),
    [
        (CmleJobResults("key"), cmle_line, "prediction.results-00000-of-00001", "errors_stats-0"),
        (VertexJobResults(), vertex_line, "prediction.results-00000-of-00001", "errors_stats-0"),
        (VertexJobResults(), vertex_line, "predictions_0001.jsonl", "errors_0001.jsonl"),
    ],
)
def test_results_join_to_rows(
    tmp_path: Path,
    results: JobResults,
    line: Callable[[str, float | None], str],
    name: str,
    other: str,
) -> None:
    prepared, job = tmp_path / "prepared", tmp_path / "job"
    prepared.mkdir()
    job.mkdir()
    keyed = [json.dumps({"key": f"k{i}", "row": row}) for i, row in enumerate(ROWS)]
    (prepared / "rows-0.jsonl").write_text("\n".join(keyed))
    predicted = [line("k0", 7.5), line("k1", None), line("k2", 6.5), line("k2", 6.5)]
    (job / name).write_text("\n".join(predicted))
    (job / f"prediction.{other}").write_text("not a result")
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        build_join(pipeline, ServingOptions([], output=str(tmp_path)), results, str(job))
    estimates = [text for path in tmp_path.glob("estimates-*") for text in path.open()][1:]
    letters = [json.loads(text) for path in tmp_path.glob("errors-job-*") for text in path.open()]
    assert [text.rstrip().rpartition(",")[2] for text in estimates] == ["7.5"]
    reasons = {json.loads(letter["source"])["wday"]: letter["reason"] for letter in letters}
    assert reasons == {
        1: "the model's estimate is not a finite number",
        2: "the prediction job returned 2 results for it",
        3: "the prediction job returned 0 results for it",
    }
