"""Rows of the source table, as the model is asked about them."""

from collections.abc import Mapping

import pytest

from tf_dataflow_serving.natality.instance import Instance, from_row
from tf_dataflow_serving.natality.schema import FEATURE_NAMES, RACES
from tf_dataflow_serving.natality.validation import InvalidInstance, validate

ROW: Mapping[str, object] = {
    "weight_pounds": 7.5,
    "is_male": True,
    "mother_age": 26,
    "mother_race": 18,
    "plurality": 1,
    "gestation_weeks": 39,
    "mother_married": True,
    "cigarette_use": False,
    "alcohol_use": False,
    "year": 2005,
    "month": 3,
}


def test_row_becomes_the_originals_sample(sample: Instance) -> None:
    assert validate(from_row(ROW)) == sample


def test_instance_has_the_features_in_their_order_and_nothing_else() -> None:
    assert tuple(from_row(ROW)) == FEATURE_NAMES
    assert tuple(validate(from_row(ROW))) == FEATURE_NAMES


@pytest.mark.parametrize(("code", "label"), RACES.items())
def test_every_race_code_has_a_label_that_is_valid(code: int, label: str) -> None:
    assert validate(from_row({**ROW, "mother_race": code}))["mother_race"] == label


@pytest.mark.parametrize("code", [None, 38, 68, 0, -1])
def test_null_and_unlisted_races_are_unknown(code: int | None) -> None:
    assert validate(from_row({**ROW, "mother_race": code}))["mother_race"] == "Unknown"


@pytest.mark.parametrize("name", ["cigarette_use", "alcohol_use"])
def test_null_habit_is_a_word_of_the_vocabulary(name: str) -> None:
    assert from_row({**ROW, name: None})[name] == "None"


@pytest.mark.parametrize(
    "name", ["is_male", "mother_age", "plurality", "gestation_weeks", "mother_married"]
)
@pytest.mark.parametrize("is_null", [True, False])
def test_other_nulls_and_absent_columns_are_missing(name: str, is_null: bool) -> None:
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(InvalidInstance) as invalid:
        validate(from_row({**row, name: None} if is_null else row))
    assert (invalid.value.feature, invalid.value.reason) == (name, "missing")


@pytest.mark.parametrize(
    ("name", "value"), [("is_male", 1), ("mother_race", True), ("mother_race", 1.5)]
)
def test_values_of_other_types_are_left_to_the_validation(name: str, value: object) -> None:
    with pytest.raises(InvalidInstance) as invalid:
        validate(from_row({**ROW, name: value}))
    assert (invalid.value.feature, invalid.value.reason) == (name, "not a string")
