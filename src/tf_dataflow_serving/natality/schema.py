"""Names, types and limits of the natality data: features, tables, race codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class NumericFeature:
    """A number from `minimum` to `maximum`, both included; float32 to the model.

    A `whole` feature counts something; `unknown` is the code that the data have for "not known".
    """

    name: str
    minimum: int
    maximum: int
    whole: bool = False
    unknown: int | None = None
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class CategoricalFeature:
    """One of the words of `vocabulary`; a string to the model."""

    name: str
    vocabulary: tuple[str, ...]
    dtype: str = "string"


Feature = NumericFeature | CategoricalFeature

RACES: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "White",
        2: "Black",
        3: "American Indian",
        4: "Chinese",
        5: "Japanese",
        6: "Hawaiian",
        7: "Filipino",
        9: "Unknown",
        18: "Asian Indian",
        28: "Korean",
        39: "Samaon",  # Samoan; misspelt in the vocabulary that the model was trained with
        48: "Vietnamese",
    }
)
"""Label, as in the model's vocabulary, of each code in the column `mother_race`."""

UNKNOWN_RACE: Final = RACES[9]
"""Label of code 9, "Unknown/Other"."""

_YES_NO = ("True", "False")
_YES_NO_UNKNOWN = ("True", "False", "None")

# The limits are those of the public-use files (NCHS, User Guide to the 2005 Natality File):
# mother's age 10 to 64, plurality 1 to 5 ("5 or more"), gestation 17 to 47 weeks, 99 unknown.
FEATURES: Final[tuple[Feature, ...]] = (
    CategoricalFeature("is_male", _YES_NO),
    NumericFeature("mother_age", minimum=10, maximum=64),
    CategoricalFeature("mother_race", tuple(RACES.values())),
    NumericFeature("plurality", minimum=1, maximum=5, whole=True),
    NumericFeature("gestation_weeks", minimum=17, maximum=47, whole=True, unknown=99),
    CategoricalFeature("mother_married", _YES_NO),
    CategoricalFeature("cigarette_use", _YES_NO_UNKNOWN),
    CategoricalFeature("alcohol_use", _YES_NO_UNKNOWN),
)
"""The eight features, in the order of the output's columns."""

FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)
LABEL: Final = "weight_pounds"
ESTIMATE: Final = "estimated_weight"

SAMPLES_DATASET: Final = "samples"
NATALITY_TABLE: Final = "natality"
SAMPLES_TABLE: Final = f"{SAMPLES_DATASET}.{NATALITY_TABLE}"
"""The source table within its project."""

Field = dict[str, str]
"""One column, as BigQuery's API writes it: name, type, mode."""


def _nullable(name: str, kind: str) -> Field:
    return {"name": name, "type": kind, "mode": "NULLABLE"}


def _required(name: str, kind: str) -> Field:
    return {"name": name, "type": kind, "mode": "REQUIRED"}


SOURCE_SCHEMA: Final[list[Field]] = [
    _nullable("year", "INTEGER"),
    _nullable("month", "INTEGER"),
    _nullable("weight_pounds", "FLOAT"),
    _required("is_male", "BOOLEAN"),
    _nullable("mother_age", "INTEGER"),
    _nullable("mother_race", "INTEGER"),
    _nullable("plurality", "INTEGER"),
    _nullable("gestation_weeks", "INTEGER"),
    _nullable("mother_married", "BOOLEAN"),
    _nullable("cigarette_use", "BOOLEAN"),
    _nullable("alcohol_use", "BOOLEAN"),
]
"""The columns of the public table `samples.natality` that the example reads."""

PREDICTION_SCHEMA: Final[list[Field]] = [
    _nullable("source_id", "INTEGER"),
    _nullable("source_timestamp", "TIMESTAMP"),
    _nullable("predict_timestamp", "TIMESTAMP"),
    _nullable("estimated_weight", "FLOAT"),
    _nullable("is_male", "STRING"),
    _nullable("mother_age", "FLOAT"),
    _nullable("mother_race", "STRING"),
    _nullable("plurality", "FLOAT"),
    _nullable("gestation_weeks", "INTEGER"),
    _nullable("mother_married", "BOOLEAN"),
    _nullable("cigarette_use", "BOOLEAN"),
    _nullable("alcohol_use", "BOOLEAN"),
]
"""The table that streams of predictions are written to."""

ERROR_SCHEMA: Final[list[Field]] = [
    _required("timestamp", "TIMESTAMP"),
    _required("reason", "STRING"),
    _nullable("feature", "STRING"),
    _required("source", "STRING"),
]
"""The table of dead letters: when, why, which feature if one, and the message or row as it came."""


def table_schema(fields: Sequence[Field]) -> dict[str, list[Field]]:
    """Return the fields in the form that Beam's `WriteToBigQuery(schema=...)` takes."""
    return {"fields": [dict(field) for field in fields]}
