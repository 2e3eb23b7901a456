"""A service with a data directory that ends again and again in the middle of a batch job.

The model writes down how many instances it is given, in all processes that it lives in.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import tensorflow as tf

from tf_dataflow_serving.services.prediction.jobs.pieces import PIECE_BYTES
from tf_dataflow_serving.services.process import ServiceProcess

from ..kills import WAIT_SECONDS, client_of, kill, new_chance

ROWS = 60_000
WORKERS = 3
# All that share a process's threads may be in the middle of a piece when it is killed.
IN_FLIGHT = min(WORKERS, os.cpu_count() or 1)
JOB = "/v1/projects/p/jobs/j"


def line(number: int) -> bytes:
    """A line that is long enough for many pieces, and short work for the model."""
    return b'{"x": %d, "key": "%0240d"}\n' % (number, number)


ROWS_OF_A_PIECE = PIECE_BYTES // len(line(0)) + 1


class _Diary(tf.Module):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.target = f"file://{path}"

    @tf.function(input_signature=[tf.TensorSpec([None], t) for t in (tf.float32, tf.string)])
    def serving_default(self, x, key):
        tf.print(tf.shape(x)[0], output_stream=self.target)
        return {"y": 2 * x, "key": key}


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


@pytest.fixture
def diary_model(diary: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    module = _Diary(diary)
    signature = module.serving_default.get_concrete_function()
    tf.saved_model.save(module, str(directory), {"serving_default": signature})
    return directory


@dataclass
class Scene:
    """A storage service and a prediction service that keep their data and their ports."""

    directory: Path
    model: Path
    stack: ExitStack
    running: dict[str, ServiceProcess] = field(default_factory=dict)

    def start_storage(self) -> None:
        self._start("storage")

    def start_prediction(self) -> None:
        storage_url = f"http://127.0.0.1:{self.running['storage'].ports['http']}"
        self._start("prediction", "--storage_url", storage_url, "--deploy", f"m:v={self.model}")

    def client(self, name: str) -> httpx.Client:
        return client_of(self.running[name])

    def _start(self, name: str, *flags: str) -> None:
        before = self.running.get(name)
        port = str(before.ports["http"]) if before else "0"
        module = f"tf_dataflow_serving.services.{name}"
        kept = ["--port", port, "--data_dir", str(self.directory / name)]
        log = self.directory / f"{name}.log"
        service = ServiceProcess.start(name, module, [*kept, *flags], log, os.environ)
        self.stack.callback(service.stop)
        self.running[name] = service


@pytest.fixture
def scene(tmp_path: Path, diary_model: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        made = Scene(tmp_path, diary_model, stack)
        made.start_storage()
        made.start_prediction()
        yield made


def put_rows(scene: Scene) -> None:
    content = b"".join(map(line, range(ROWS)))
    with scene.client("storage") as storage:
        storage.post("/storage/v1/b?project=p", json={"name": "bucket"}).raise_for_status()
        path = "/upload/storage/v1/b/bucket/o?uploadType=media&name=in"
        storage.post(path, content=content).raise_for_status()


def submit(scene: Scene) -> None:
    request = {
        "dataFormat": "JSON",
        "inputPaths": ["gs://bucket/in"],
        "outputPath": "gs://bucket/out",
        "region": "us-central1",
        "modelName": "projects/p/models/m",
        "maxWorkerCount": str(WORKERS),
    }
    with scene.client("prediction") as prediction:
        body = {"jobId": "j", "predictionInput": request}
        prediction.post("/v1/projects/p/jobs", json=body).raise_for_status()


def until(scene: Scene, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + WAIT_SECONDS
    with scene.client("prediction") as prediction:
        while not done(job := prediction.get(JOB).raise_for_status().json()):
            assert time.monotonic() < end, job
            assert job["state"] not in ("FAILED", "CANCELLED"), job
            time.sleep(0.005)
    return job


def predicted(job: dict[str, Any]) -> int:
    return int(job["predictionOutput"]["predictionCount"])


def end_of_service(scene: Scene, moment: int, way: str) -> None:
    """End the prediction service once so many rows are predicted, and start it again."""
    until(scene, lambda job: predicted(job) >= moment)
    if way == "stop":
        scene.running["prediction"].stop()
    else:
        kill(scene.running["prediction"])
    if way == "kill both":
        kill(scene.running["storage"])
    scene.start_prediction()
    if way == "kill both":
        scene.start_storage()


def results(scene: Scene) -> dict[str, list[str]]:
    found = {}
    with scene.client("storage") as storage:
        listed = storage.get("/storage/v1/b/bucket/o?prefix=out/").json()["items"]
        for item in listed:
            text = storage.get(item["mediaLink"]).raise_for_status().text
            found[item["name"]] = text.splitlines()
    return found


def moments(chance: random.Random, count: int) -> list[int]:
    return sorted(chance.randint(1, int(0.8 * ROWS)) for _ in range(count))


def test_every_row_is_in_the_results_once_however_often_the_service_ends(scene, diary):
    chance = new_chance()
    ways = ["stop", "kill", "kill both"]
    chance.shuffle(ways)
    put_rows(scene)
    submit(scene)
    for moment, way in zip(moments(chance, len(ways)), ways, strict=True):
        end_of_service(scene, moment, way)
    # The last one finds all rows predicted, their results on the way to gs:// or not yet.
    end_of_service(scene, ROWS, "kill")
    done = until(scene, lambda job: job["state"] == "SUCCEEDED")

    assert (predicted(done), done["predictionOutput"]["errorCount"]) == (ROWS, "0")
    found = results(scene)
    names = [f"out/prediction.results-{i:05d}-of-{WORKERS:05d}" for i in range(WORKERS)]
    assert list(found) == ["out/prediction.errors_stats-00000-of-00001", *names]
    rows = [json.loads(text) for name in names for text in found[name]]
    by_key = sorted((int(row["key"]), row["y"]) for row in rows)
    assert by_key == [(number, 2.0 * number) for number in range(ROWS)]
    ends = len(ways) + 1
    # Each start warms the model up with an instance.
    again = sum(map(int, diary.read_text().split())) - ROWS - (ends + 1)
    assert 0 <= again <= ends * IN_FLIGHT * ROWS_OF_A_PIECE
