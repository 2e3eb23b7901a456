"""The published margins that generated births follow.

Sources, all of the National Center for Health Statistics: "Births: Final Data for 2002" (race),
2003 (smoking among those who reported it), 2005 (plurality, sex, marital status); and a sample of
13,405 rows after 2000 of `samples.natality` for age, gestation and weight. The effects of age,
race and habits on the weight are rounded from the same reports' tables of low birth weight: they
give a model something to learn, and are no medical statement.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tf_dataflow_serving.natality.schema import RACES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2008
BEFORE_2001: Final = 0.05
"""Share of rows that are too old for the source query."""

MALE: Final = 0.512

RACE_PERCENT: Final = {
    1: 78.9,
    2: 14.8,
    3: 1.05,
    4: 0.84,
    5: 0.23,
    6: 0.17,
    7: 0.82,
    9: 1.36,
    18: 0.80,
    28: 0.40,
    39: 0.07,
    48: 0.55,
}

PLURALITIES: Final = np.arange(1, 5)
PLURALITY_SHARES: Final = np.array([0.9659, 0.0322, 0.0018, 0.0001])

AGES: Final = np.arange(12, 51)
WEEKS: Final = np.arange(17, 48)

CIGARETTE_UNREPORTED: Final = 0.28
ALCOHOL_UNREPORTED: Final = 0.30
RACE_UNREPORTED: Final = 0.002
MARRIED_UNREPORTED: Final = 0.004
PLURALITY_UNREPORTED: Final = 0.001
WEIGHT_UNREPORTED: Final = 0.001
GESTATION_UNREPORTED: Final = 0.001
GESTATION_UNKNOWN: Final = 0.006
"""Share of rows with the code 99 in place of the weeks."""

GRAMS_PER_POUND: Final = 453.59237
LIGHTEST_GRAMS: Final = 227
HEAVIEST_GRAMS: Final = 6105


def race_shares() -> Floats:
    """Return the share of each race, in the order of `RACES`."""
    percent = np.array([RACE_PERCENT[code] for code in RACES])
    shares: Floats = percent / percent.sum()
    return shares


def age_shares() -> Floats:
    """Return the share of each of `AGES`: a beta distribution, mean 27.34, deviation 6.17."""
    position = (AGES - AGES[0] + 0.5) / len(AGES)
    density = position**2.46 * (1 - position) ** 4.14
    shares: Floats = density / density.sum()
    return shares


def week_shares() -> Floats:
    """Return the share of each of `WEEKS`, a row for each of `PLURALITIES`.

    Most births are near the mean, some are early by much more than any is late.
    """
    return np.stack(
        [
            _mixture((39.2, 1.5, 0.92), (34.2, 4.6, 0.08)),
            _mixture((36.2, 1.9, 0.75), (32.5, 3.9, 0.25)),
            _mixture((33.0, 2.0, 0.75), (29.8, 3.6, 0.25)),
            _mixture((30.6, 2.2, 0.75), (27.8, 3.2, 0.25)),
        ]
    )


def _mixture(*parts: tuple[float, float, float]) -> Floats:
    """Return the shares of a mixture of normal distributions: mean, deviation, share."""
    shares = np.zeros(len(WEEKS))
    for mean, deviation, share in parts:
        density = np.exp(-0.5 * ((WEEKS - mean) / deviation) ** 2)
        shares += share * density / density.sum()
    return shares


def unmarried_shares(age: Integers, race: Integers) -> Floats:
    """Return the chance that a mother is unmarried: 36.8 % over all, falling with age."""
    by_age = np.interp(age, [15, 18, 21, 25, 29, 33, 40, 50], _UNMARRIED_BY_AGE)
    return np.minimum(by_age * _by_race(race, {2: 1.90, 3: 1.60, **_ASIAN_UNMARRIED}, 0.94), 0.98)


def smoker_shares(age: Integers, married: NDArray[np.bool_], race: Integers) -> Floats:
    """Return the chance that a mother smokes: 10.7 % over all."""
    by_age = np.interp(age, [15, 19, 24, 30, 40, 50], [0.11, 0.14, 0.137, 0.09, 0.075, 0.065])
    by_status = np.where(married, 0.70, 1.55)
    return by_age * by_status * _by_race(race, {2: 0.62, 3: 1.50, **_ASIAN_SMOKERS}, 1.0)


def drinker_shares(smokes: NDArray[np.bool_]) -> Floats:
    """Return the chance that a mother drinks: 0.8 % over all."""
    return np.where(smokes, 0.028, 0.0056)


def expected_grams(weeks: Integers) -> Floats:
    """Return the mean weight of a single birth of average parents at a gestation."""
    return np.interp(weeks, _GROWTH_WEEKS, _GROWTH_GRAMS)


def plurality_factors() -> Floats:
    """Return, for each of `PLURALITIES`, the weight in proportion to a single birth's."""
    return np.array([1.0, 0.868, 0.818, 0.836])


def race_factors(race: Integers) -> Floats:
    """Return the weight in proportion to the average."""
    return _by_race(race, _WEIGHT_BY_RACE, 0.95)


def age_factors(age: Integers) -> Floats:
    """Return the weight in proportion to the average: less for the youngest and the oldest."""
    return np.interp(age, [12, 18, 24, 30, 36, 50], [0.955, 0.975, 0.996, 1.008, 1.006, 0.980])


def _by_race(race: Integers, factors: dict[int, float], other: float) -> Floats:
    table = np.full(max(RACES) + 1, other)
    for code, factor in factors.items():
        table[code] = factor
    return table[race]


_ASIAN = (4, 5, 7, 18, 28, 48)
_ASIAN_UNMARRIED = dict.fromkeys(_ASIAN, 0.40)
_ASIAN_SMOKERS = dict.fromkeys(_ASIAN, 0.20)
_UNMARRIED_BY_AGE = [0.93, 0.78, 0.56, 0.33, 0.22, 0.17, 0.17, 0.20]
_WEIGHT_BY_RACE = {1: 1.012, 2: 0.955, 3: 1.015, 6: 1.0, 39: 1.06}
_GROWTH_WEEKS = [17, 20, 24, 28, 32, 34, 36, 37, 38, 39, 40, 41, 42, 47]
_GROWTH_GRAMS = [235, 350, 700, 1190, 1970, 2440, 2890, 3100, 3300, 3450, 3550, 3630, 3660, 3560]
