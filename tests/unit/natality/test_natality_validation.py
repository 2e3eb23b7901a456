"""Which instances the model may be asked about."""

import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.natality.schema import (
    FEATURE_NAMES,
    FEATURES,
    CategoricalFeature,
    Feature,
    NumericFeature,
)
from tf_dataflow_serving.natality.validation import InvalidInstance, validate

NUMBERS = [feature for feature in FEATURES if isinstance(feature, NumericFeature)]
CATEGORIES = [feature for feature in FEATURES if isinstance(feature, CategoricalFeature)]


def valid_values(feature: Feature) -> st.SearchStrategy[object]:
    if isinstance(feature, CategoricalFeature):
        return st.sampled_from(feature.vocabulary)
    whole = st.integers(feature.minimum, feature.maximum)
    if feature.whole:
        return whole | whole.map(float)
    return whole | st.floats(feature.minimum, feature.maximum)


ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
)
VALID = st.fixed_dictionaries({feature.name: valid_values(feature) for feature in FEATURES})
ALMOST = st.fixed_dictionaries(
    {}, optional={feature.name: valid_values(feature) | ANYTHING for feature in FEATURES}
)


@given(VALID)
def test_valid_features_are_accepted_unchanged(raw: dict[str, object]) -> None:
    instance = validate(raw)
    assert instance == raw
    assert tuple(instance) == FEATURE_NAMES


@given(ALMOST | st.dictionaries(st.text(), ANYTHING))
def test_anything_is_an_instance_or_is_refused_for_one_of_its_features(
    raw: dict[str, object],
) -> None:
    try:
        instance = validate(raw)
    except InvalidInstance as invalid:
        assert invalid.feature in FEATURE_NAMES
        assert invalid.reason
    else:
        assert validate(dict(instance)) == instance


@given(VALID, st.sampled_from(FEATURES), ANYTHING)
def test_the_one_faulty_feature_is_the_one_that_is_named(
    raw: dict[str, object], feature: Feature, value: object
) -> None:
    try:
        validate({**raw, feature.name: value})
    except InvalidInstance as invalid:
        assert invalid.feature == feature.name


def refusal(sample: Instance, name: str, value: object) -> str:
    with pytest.raises(InvalidInstance) as invalid:
        validate({**sample, name: value})
    assert invalid.value.feature == name
    return invalid.value.reason


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_missing_and_null_features_are_refused(sample: Instance, feature: Feature) -> None:
    assert refusal(sample, feature.name, None) == "missing"
    with pytest.raises(InvalidInstance, match=rf"^{feature.name}: missing$"):
        validate({name: value for name, value in sample.items() if name != feature.name})


@pytest.mark.parametrize("feature", NUMBERS, ids=lambda feature: feature.name)
class TestNumbers:
    @pytest.mark.parametrize("value", ["26", True, False, [], {}, b"1", 1j])
    def test_other_types(self, sample: Instance, feature: NumericFeature, value: object) -> None:
        assert refusal(sample, feature.name, value) == "not a number"

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_not_finite(self, sample: Instance, feature: NumericFeature, value: float) -> None:
        assert refusal(sample, feature.name, value) == "not a finite number"

    def test_range(self, sample: Instance, feature: NumericFeature) -> None:
        reason = f"not in the range {feature.minimum} to {feature.maximum}"
        for value in (feature.minimum - 1, feature.maximum + 0.001, 0, -5, 10**400):
            assert refusal(sample, feature.name, value) == reason
        for value in (feature.minimum, feature.maximum, float(feature.maximum)):
            validate({**sample, feature.name: value})


@pytest.mark.parametrize("feature", CATEGORIES, ids=lambda feature: feature.name)
class TestCategories:
    @pytest.mark.parametrize("value", [True, 1, 1.5, [], {}, b"True"])
    def test_other_types(
        self, sample: Instance, feature: CategoricalFeature, value: object
    ) -> None:
        assert refusal(sample, feature.name, value) == "not a string"

    @pytest.mark.parametrize("value", ["", "true", " True", "Samoan"])
    def test_vocabulary(self, sample: Instance, feature: CategoricalFeature, value: str) -> None:
        assert refusal(sample, feature.name, value) == "not in the vocabulary"


@pytest.mark.parametrize("value", [99, 99.0])
def test_gestation_99_means_unknown(sample: Instance, value: float) -> None:
    assert refusal(sample, "gestation_weeks", value) == "99 means unknown"


@pytest.mark.parametrize(("name", "value"), [("plurality", 1.5), ("gestation_weeks", 38.5)])
def test_what_is_counted_is_whole(sample: Instance, name: str, value: float) -> None:
    assert refusal(sample, name, value) == "not a whole number"


def test_married_has_no_word_for_null(sample: Instance) -> None:
    assert refusal(sample, "mother_married", "None") == "not in the vocabulary"


def test_numbers_come_back_in_one_type_each(sample: Instance) -> None:
    raw: dict[str, Any] = {**sample, "mother_age": 26, "plurality": 1, "gestation_weeks": 39.0}
    instance = validate(raw)
    assert instance == sample
    assert [type(value) for value in instance.values()] == [type(v) for v in sample.values()]


def test_whatever_else_is_there_is_left_out(sample: Instance) -> None:
    assert validate({**sample, "weight_pounds": 7.5, "key": "1"}) == sample


def test_refusal_survives_the_way_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(InvalidInstance("plurality", "missing")))  # noqa: S301
    assert (copy.feature, copy.reason, str(copy)) == (
        "plurality",
        "missing",
        "plurality: missing",
    )
