"""Tells a valid instance from one that the model must not be asked about."""

import math
from collections.abc import Mapping
from typing import Any

from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.natality.schema import (
    FEATURES,
    CategoricalFeature,
    NumericFeature,
)


class InvalidInstance(Exception):
    """A feature cannot be given to the model: `feature` names it, `reason` says why."""

    def __init__(self, feature: str, reason: str) -> None:
        super().__init__(feature, reason)
        self.feature = feature
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.feature}: {self.reason}"


_CATEGORIES = tuple(
    (feature.name, frozenset(feature.vocabulary))
    for feature in FEATURES
    if isinstance(feature, CategoricalFeature)
)
_NUMBERS = tuple(
    (feature.name, feature.minimum, feature.maximum, feature.whole, feature)
    for feature in FEATURES
    if isinstance(feature, NumericFeature)
)


def validate(raw: Mapping[str, object]) -> Instance:
    """Return the eight features of `raw`, and nothing else of it.

    Numbers may be int or float; gestation_weeks comes back as int, the others as float.
    Raises InvalidInstance for a feature that is missing or null, of another type, not finite,
    out of range, not a whole number where only those make sense, or not in the vocabulary. With
    several such features it names one of them, always the same.
    """
    # Once for every element of every pipeline: the loops do only what valid values need.
    for name, vocabulary in _CATEGORIES:
        word = raw.get(name)
        if not (isinstance(word, str) and word in vocabulary):
            raise InvalidInstance(name, _why_no_category(word))
    for name, minimum, maximum, whole, feature in _NUMBERS:
        number = raw.get(name)
        if (
            not isinstance(number, (int, float))
            or isinstance(number, bool)
            or not minimum <= number <= maximum
            or (whole and number % 1)
        ):
            raise InvalidInstance(name, _why_no_number(number, feature))
    return _instance(raw)


def _instance(valid: Mapping[str, Any]) -> Instance:
    return {
        "is_male": valid["is_male"],
        "mother_age": float(valid["mother_age"]),
        "mother_race": valid["mother_race"],
        "plurality": float(valid["plurality"]),
        "gestation_weeks": int(valid["gestation_weeks"]),
        "mother_married": valid["mother_married"],
        "cigarette_use": valid["cigarette_use"],
        "alcohol_use": valid["alcohol_use"],
    }


def _why_no_category(value: object) -> str:
    if value is None:
        return "missing"
    if not isinstance(value, str):
        return "not a string"
    return "not in the vocabulary"


def _why_no_number(value: object, feature: NumericFeature) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "not a number"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    if value == feature.unknown:
        return f"{feature.unknown} means unknown"
    if not feature.minimum <= value <= feature.maximum:
        return f"not in the range {feature.minimum} to {feature.maximum}"
    return "not a whole number"
