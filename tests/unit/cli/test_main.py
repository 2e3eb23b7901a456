import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tf_dataflow_serving.cli import main


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAFLOW_SERVING_STATE", str(tmp_path / "services.json"))
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)


@pytest.fixture(autouse=True)
def loud_beam() -> Iterator[None]:
    """Undo what a command does to Beam's log, which the next test may read."""
    beam = logging.getLogger("apache_beam")
    level = beam.level
    yield
    beam.setLevel(level)


def fails(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main(words)
    output = capsys.readouterr()
    assert output.out == ""
    assert isinstance(caught.value.code, int)
    return caught.value.code, output.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "--experiment", "batch", "--sample_size", "ten"], "'ten' is not a whole number"),
        (["run", "--sample_size", "0"], "'0' is not a whole number"),
        (["run", "--batch_seconds", "nan"], "'nan' is not a number above 0"),
        (["run", "--experiment", "batches"], "invalid choice: 'batches'"),
        (["run", "--experiment", "stream"], "stream needs --input_subscription"),
        (["run", "--runner", "DataflowRunner", "--services", "embedded"], "cannot work"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "COMMAND"),
        (["stats", "--tabel", "x"], "unrecognized arguments: --tabel x"),
        (["exec"], "exec needs a command"),
        (["simulate", "--messages", "5"], "--input_topic"),
    ],
)
def test_a_mistake_in_the_line_is_one_line_and_exit_2(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = fails(words, capsys)
    assert code == 2
    assert error.count("\n") == 1
    assert named in error


@pytest.mark.parametrize(
    "words", [["services", "env"], ["stats"], ["simulate", "--input_topic", "t"]]
)
def test_without_services_one_line_says_how_to_start_them(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = fails(words, capsys)
    assert code == 1
    assert error.count("\n") == 1
    assert "dataflow-serving services up" in error


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command in (
        "demo",
        "run",
        "simulate",
        "stats",
        "services",
        "exec",
        "deploy",
        "batch-predict",
        "faults",
        "train",
    ):
        assert command in text
