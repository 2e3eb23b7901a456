"""The model that comes with the package."""

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tf_dataflow_serving.model import DEFAULT_EPOCHS, DEFAULT_ROWS, DEFAULT_SEED, SHIPPED
from tf_dataflow_serving.model.contract import Signature, load_signature
from tf_dataflow_serving.model.data import examples
from tf_dataflow_serving.model.evaluation import evaluate
from tf_dataflow_serving.model.training import train
from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.natality.validation import validate

GOLDEN = Path(__file__).parents[3] / "fixtures" / "natality" / "predictions.jsonl"
# Sums of float32 differ in their last digits between processors and sizes of batches.
TOLERANCE_POUNDS = 1e-3


@pytest.fixture(scope="module")
def signature() -> Signature:
    loaded = load_signature(str(SHIPPED))
    loaded.warm_up()
    return loaded


def test_predictions_are_the_recorded_ones(signature: Signature) -> None:
    lines = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    weights = signature.predict([validate(line["instance"]) for line in lines])
    expected = [line["estimated_weight"] for line in lines]
    assert weights == pytest.approx(expected, abs=TOLERANCE_POUNDS)


def test_error_on_births_of_another_seed_is_far_below_the_constants(signature: Signature) -> None:
    births = examples(20_000, seed=DEFAULT_SEED + 1)
    evaluation = evaluate(signature, births, mean=float(births.weights.mean()))
    assert evaluation.rmse < 0.7 * evaluation.constant_rmse


def test_card_has_the_defaults_of_training() -> None:
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    recipe = f"--rows {DEFAULT_ROWS} --epochs {DEFAULT_EPOCHS} --seed {DEFAULT_SEED}"
    assert recipe in card


def test_card_has_the_error_of_the_model_beside_it(signature: Signature) -> None:
    _, held_out = examples(DEFAULT_ROWS // 10, DEFAULT_SEED).split()
    evaluation = evaluate(signature, held_out, mean=float(held_out.weights.mean()))
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    found = re.search(r"root mean square error \| ([\d.]+)", card)
    assert found is not None
    assert evaluation.rmse == pytest.approx(float(found[1]), rel=0.05)


def test_size_of_the_batch_does_not_change_what_is_said(signature: Signature) -> None:
    births = list(instances(300, seed=1))
    alone = [signature.predict([birth])[0] for birth in births]
    assert signature.predict(births) == pytest.approx(alone, abs=TOLERANCE_POUNDS)


def test_threads_may_call_at_the_same_time(signature: Signature) -> None:
    batches = [list(instances(50, seed=seed)) for seed in range(16)]
    expected = [signature.predict(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(signature.predict, batches, timeout=60)) == expected


def test_not_a_number_is_no_silent_nonsense(signature: Signature) -> None:
    (birth,) = instances(1, seed=1)
    for name in ("mother_age", "plurality", "gestation_weeks"):
        (weight,) = signature.predict([{**birth, name: math.nan}])  # type: ignore[typeddict-item]
        assert math.isnan(weight)


def test_estimates_of_every_valid_extreme_are_weights(signature: Signature) -> None:
    (birth,) = instances(1, seed=1)
    extremes = [
        {**birth, "mother_age": age, "plurality": plurality, "gestation_weeks": weeks}
        for age in (10.0, 64.0)
        for plurality in (1.0, 5.0)
        for weeks in (17, 47)
    ]
    weights = signature.predict([validate(extreme) for extreme in extremes])
    assert all(0.1 < weight < 14 for weight in weights), weights


def test_training_with_the_defaults_makes_it_again(tmp_path: Path) -> None:
    train(tmp_path)
    births = list(instances(1_000, seed=1))
    again = load_signature(str(tmp_path)).predict(births)
    shipped = load_signature(str(SHIPPED)).predict(births)
    # Rounding that differs from processor to processor is amplified by training.
    assert again == pytest.approx(shipped, abs=0.05)
