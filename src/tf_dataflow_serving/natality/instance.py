"""What the model is asked about: one birth, as it goes over the wire."""

from collections.abc import Mapping
from typing import Final, TypedDict

from tf_dataflow_serving.natality.schema import (
    FEATURES,
    RACES,
    UNKNOWN_RACE,
    CategoricalFeature,
)


class Instance(TypedDict):
    """The eight features of one valid birth; a plain dict, JSON as it stands."""

    is_male: str
    mother_age: float
    mother_race: str
    plurality: float
    gestation_weeks: int
    mother_married: str
    cigarette_use: str
    alcohol_use: str


SAMPLE: Final = Instance(
    is_male="True",
    mother_age=26.0,
    mother_race="Asian Indian",
    plurality=1.0,
    gestation_weeks=39,
    mother_married="True",
    cigarette_use="False",
    alcohol_use="False",
)
"""The original's sample instance."""

_NULL_AS_WORD = frozenset(
    feature.name
    for feature in FEATURES
    if isinstance(feature, CategoricalFeature) and "None" in feature.vocabulary
)


def from_row(row: Mapping[str, object]) -> dict[str, object]:
    """Return the features of a row of `samples.natality`, still to be validated.

    Booleans become the words "True" and "False", and "None" for a null where the model knows
    that word; race codes become labels. A column that is null or not there becomes None. Values
    of other types stay as they are: to judge them is the validation's part.
    """
    return {
        "is_male": _word(row, "is_male"),
        "mother_age": row.get("mother_age"),
        "mother_race": _race(row.get("mother_race")),
        "plurality": row.get("plurality"),
        "gestation_weeks": row.get("gestation_weeks"),
        "mother_married": _word(row, "mother_married"),
        "cigarette_use": _word(row, "cigarette_use"),
        "alcohol_use": _word(row, "alcohol_use"),
    }


def _word(row: Mapping[str, object], name: str) -> object:
    value = row.get(name)
    if value is True:
        return "True"
    if value is False:
        return "False"
    if value is None and name in _NULL_AS_WORD:
        return "None"
    return value


def _race(code: object) -> object:
    """Return the label of a race code; null and unlisted codes are unknown, as code 9 is."""
    if code is None:
        return UNKNOWN_RACE
    if isinstance(code, int) and not isinstance(code, bool):
        return RACES.get(code, UNKNOWN_RACE)
    return code
