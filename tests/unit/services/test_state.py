import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services import state
from tf_dataflow_serving.services.endpoints import Endpoints

ENDPOINTS = Endpoints(
    project="p",
    credentials="/c",
    pubsub="127.0.0.1:1",
    pubsub_control="http://127.0.0.1:6",
    bigquery="http://127.0.0.1:2",
    bigquery_storage="127.0.0.1:3",
    storage="http://127.0.0.1:4",
    prediction="http://127.0.0.1:5",
)

RUNNING = state.Recorded("containers", ENDPOINTS)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "state" / "services.json"
    monkeypatch.setenv("DATAFLOW_SERVING_STATE", str(path))
    return path


def test_nothing_runs_at_first() -> None:
    with pytest.raises(state.NothingRunning, match="services up"):
        state.running()


def test_recorded_endpoints_are_found_until_the_end(file: Path) -> None:
    with state.recorded(RUNNING):
        assert state.running() == RUNNING
    assert not file.exists()


def test_a_second_stack_is_refused() -> None:
    with state.recorded(RUNNING), pytest.raises(state.AlreadyRunning):
        state.refuse_second()


def test_the_file_of_a_dead_process_counts_as_nothing(file: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(10)
    file.parent.mkdir()
    file.write_text(json.dumps({"pid": ended.pid, **asdict(RUNNING)}))
    with pytest.raises(state.NothingRunning):
        state.running()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x", "endpoints": {}}'])
def test_a_file_of_another_kind_is_named(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(UserError, match="not a state file"):
        state.running()


def test_a_file_that_anybody_may_write_is_refused(file: Path) -> None:
    with state.recorded(RUNNING):
        file.chmod(0o666)
        with pytest.raises(UserError, match="somebody else"):
            state.running()
