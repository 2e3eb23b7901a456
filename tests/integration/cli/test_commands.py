"""The command line, as a user runs it, on running services."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from google.cloud import bigquery, storage

from tf_dataflow_serving.services.stack import Stack

from .command_line import TIMEOUT, command


def objects(project: str, bucket: str, prefix: str) -> list[str]:
    client = storage.Client(project=project)
    return [
        line
        for blob in client.list_blobs(bucket, prefix=prefix)
        for line in blob.download_as_text().splitlines()
    ]


def test_run_writes_every_row_it_read(
    on_stack: Stack, stack_environment: Mapping[str, str]
) -> None:
    done = command(
        "run",
        "--experiment=batch",
        "--inference_type=local",
        "--sample_size=1000",
        "--output=gs://commands/out",
        environment=stack_environment,
    )
    assert done.returncode == 0, done.stderr
    assert "1,000 rows" in done.stdout
    estimates = objects(on_stack.endpoints.project, "commands", "out/estimates-")
    errors = objects(on_stack.endpoints.project, "commands", "out/errors-")
    header = [line for line in estimates if line.startswith("weight_pounds,")]
    assert len(estimates) - len(header) + len(errors) == 1_000


def test_a_second_run_replaces_the_first(
    on_stack: Stack, stack_environment: Mapping[str, str]
) -> None:
    for size in (200, 100):
        done = command(
            "run",
            f"--sample_size={size}",
            "--output=gs://commands/again",
            environment=stack_environment,
        )
        assert done.returncode == 0, done.stderr
    lines = objects(on_stack.endpoints.project, "commands", "again/")
    assert len([line for line in lines if not line.startswith("weight_pounds,")]) == 100


def test_run_writes_to_a_local_directory(
    stack_environment: Mapping[str, str], tmp_path: Path
) -> None:
    done = command(
        "run",
        "--sample_size=50",
        "--output=out",
        "--json",
        environment=stack_environment,
        directory=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["event"], result["rows"]) == ("finished", 50)
    lines = [
        line for file in (tmp_path / "out").iterdir() for line in file.read_text().splitlines()
    ]
    assert len(lines) - 1 == 50


def test_simulate_then_stream_then_stats(
    stack_environment: Mapping[str, str], on_stack: Stack
) -> None:
    stream = subprocess.Popen(
        [
            *(sys.executable, "-m", "tf_dataflow_serving", "run", "--experiment=stream", "--json"),
            *("--input_topic=births", "--input_subscription=births-sub", "--messages=40"),
            "--output_table=commands.estimates",
        ],
        env=dict(stack_environment),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stream.stdout is not None
    with stream.stdout as events:
        assert json.loads(events.readline())["event"] == "running"
        simulated = command(
            *("simulate", "--input_topic=births", "--messages=40", "--messages_per_second=200"),
            "--json",
            environment=stack_environment,
        )
        assert json.loads(simulated.stdout)["messages"] == 40
        assert json.loads(events.readline())["estimates"] == 40
    assert stream.wait(TIMEOUT) == 0
    stats = command(
        "stats", "--output_table=commands.estimates", "--json", environment=stack_environment
    )
    assert json.loads(stats.stdout)["distinct_row_count"] == 40
    client = bigquery.Client(project=on_stack.endpoints.project)
    assert client.get_table("commands.estimates_errors").num_rows == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_stream_in_order(number: int, stack_environment: Mapping[str, str]) -> None:
    words = [
        *(sys.executable, "-m", "tf_dataflow_serving", "run", "--experiment=stream", "--json"),
        *("--input_topic=stopped", "--input_subscription=stopped-sub"),
        "--output_table=commands.stopped",
    ]
    with subprocess.Popen(
        words, env=dict(stack_environment), stdout=subprocess.PIPE, text=True
    ) as stream:
        assert stream.stdout is not None
        assert json.loads(stream.stdout.readline())["event"] == "running"
        stream.send_signal(number)
        assert json.loads(stream.stdout.readline())["event"] == "finished"
        assert stream.wait(TIMEOUT) == 0


FAILURES: Sequence[tuple[list[str], int, str]] = [
    (["run", "--experiment", "batch", "--sample_size", "ten"], 2, "'ten'"),
    (["run", "--experiment", "steam"], 2, "steam"),
    (["run", "--model_dir", "/not/there", "--output=gs://b3x/o"], 1, "/not/there"),
    (["run", "--source_table", "samples.nothing", "--output=gs://b3x/o"], 1, "nothing"),
    (["run", "--source_table", "a b", "--output=gs://b3x/o"], 2, "a b"),
    (["run", "--sampel_size", "5"], 2, "--sampel_size"),
    (["run", "--experiment=stream", "--input_subscription=not-there"], 1, "not-there"),
    (
        ["run", "--inference_type=cmle", "--model_name=nobody", "--output=gs://b3x/o"],
        1,
        "nobody",
    ),
    (["stats", "--output_table", "nowhere.nothing"], 1, "nothing"),
]


@pytest.mark.parametrize(("words", "code", "named"), FAILURES)
def test_a_users_mistake_is_one_clear_line(
    words: list[str], code: int, named: str, stack_environment: Mapping[str, str], tmp_path: Path
) -> None:
    done = command(*words, environment=stack_environment, directory=tmp_path)
    assert done.returncode == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_service_that_is_down_is_named(stack_environment: Mapping[str, str]) -> None:
    down = {**stack_environment, "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1"}
    done = command("run", "--output=gs://b3x/o", environment=down)
    assert done.returncode == 1
    assert "STORAGE_EMULATOR_HOST: nothing answers at http://127.0.0.1:1" in done.stderr
    assert done.stderr.count("\n") == 1


def test_exec_redirects_any_command(on_stack: Stack, stack_environment: Mapping[str, str]) -> None:
    code = (
        "from google.cloud import bigquery; import sys; "
        "rows = bigquery.Client().query_and_wait('SELECT COUNT(*) FROM samples.natality'); "
        "sys.exit(next(iter(rows))[0] // 1000)"
    )
    done = command("exec", "--", sys.executable, "-c", code, environment=stack_environment)
    assert done.returncode == 3, done.stderr


def test_exec_names_a_command_that_is_not_there(stack_environment: Mapping[str, str]) -> None:
    done = command("exec", "--", "no-such-command", environment=stack_environment)
    assert done.returncode == 1
    assert "no-such-command cannot be run" in done.stderr


def test_no_environment_of_the_tests_is_left_behind() -> None:
    assert "PUBSUB_EMULATOR_HOST" not in os.environ
