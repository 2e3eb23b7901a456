"""From generated rows to a SavedModel that serves."""

from pathlib import Path

import pytest
import tensorflow as tf

from tf_dataflow_serving.model import KEY, KEYED_SIGNATURE_NAME
from tf_dataflow_serving.model.contract import INPUTS, OUTPUT, check, load_signature
from tf_dataflow_serving.model.errors import OutputExists, TooFewRows
from tf_dataflow_serving.model.evaluation import Evaluation
from tf_dataflow_serving.model.training import train
from tf_dataflow_serving.natality.generator import instances

SMALL = {"rows": 6_000, "epochs": 2, "seed": 3}
BIRTHS = list(instances(200, seed=9))


def predictions(directory: Path) -> list[float]:
    return load_signature(str(directory)).predict(BIRTHS)


def test_it_learns(small_model: tuple[Path, Evaluation]) -> None:
    _, evaluation = small_model
    assert evaluation.rmse < 0.8 * evaluation.constant_rmse
    assert 0 < evaluation.mean_absolute_error < evaluation.rmse
    assert 1_100 < evaluation.examples <= 1_200


def test_both_signatures_meet_the_contract_and_agree(
    small_model: tuple[Path, Evaluation],
) -> None:
    model = tf.saved_model.load(str(small_model[0]))
    columns = {
        name: tf.constant([birth[name] for birth in BIRTHS], dtype)  # type: ignore[literal-required]
        for name, dtype in INPUTS.items()
    }
    results = []
    for name in ("predict", "serving_default"):
        check(model.signatures[name])
        results.append(model.signatures[name](**columns)[OUTPUT].numpy().tolist())
    assert results[0] == results[1] == [[weight] for weight in predictions(small_model[0])]


def test_keyed_signature_hands_the_key_through(small_model: tuple[Path, Evaluation]) -> None:
    model = tf.saved_model.load(str(small_model[0]))
    columns = {
        name: tf.constant([birth[name] for birth in BIRTHS], dtype)  # type: ignore[literal-required]
        for name, dtype in INPUTS.items()
    }
    keys = [f"key-{index}".encode() for index in range(len(BIRTHS))]
    outputs = model.signatures[KEYED_SIGNATURE_NAME](**columns, **{KEY: tf.constant(keys)})
    assert outputs[KEY].numpy().tolist() == keys
    assert outputs[OUTPUT].numpy().ravel().tolist() == predictions(small_model[0])


def test_same_arguments_give_the_same_weights(
    small_model: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    again = train(tmp_path / "again", **SMALL)
    assert again == small_model[1]
    assert predictions(tmp_path / "again") == predictions(small_model[0])


def test_another_seed_gives_others(small_model: tuple[Path, Evaluation], tmp_path: Path) -> None:
    train(tmp_path / "other", **{**SMALL, "seed": 4})
    assert predictions(tmp_path / "other") != predictions(small_model[0])


def test_card_says_how_to_make_the_model_and_how_good_it_is(
    small_model: tuple[Path, Evaluation],
) -> None:
    directory, evaluation = small_model
    card = (directory / "MODEL_CARD.md").read_text()
    assert "dataflow-serving train --rows 6000 --epochs 2 --seed 3" in card
    assert f"{evaluation.rmse:.4f}" in card
    assert f"{evaluation.constant_rmse:.4f}" in card
    assert "generated" in card
    assert tf.__version__ in card


def test_progress_is_told_by_line(tmp_path: Path) -> None:
    lines: list[str] = []
    train(tmp_path, rows=500, epochs=2, seed=1, progress=lines.append)
    assert [line.split()[0] for line in lines] == ["generating", "epoch", "epoch", "writing"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    for output in (tmp_path, precious):
        with pytest.raises(OutputExists, match=str(output)):
            train(output, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert precious.read_text() == "kept"


def test_too_few_rows_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TooFewRows, match="too few"):
        train(tmp_path / "model", rows=1, epochs=1, seed=1)
    assert not (tmp_path / "model").exists()
