"""Generated births in place of the public natality table, which needs Google's cloud.

They follow published margins (see `margins`), with the nulls and the unknown values that the
table has. They are not data about anybody.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tf_dataflow_serving.natality import margins
from tf_dataflow_serving.natality.instance import Instance, from_row
from tf_dataflow_serving.natality.schema import RACES, SOURCE_SCHEMA
from tf_dataflow_serving.natality.validation import InvalidInstance, validate

if TYPE_CHECKING:
    import pyarrow

Array = NDArray[Any]
Columns = dict[str, np.ma.MaskedArray[Any, Any]]
"""The columns of SOURCE_SCHEMA in its order; nulls are masked."""

BLOCK_ROWS: Final = 16_384
_UNKNOWN_WEEKS: Final = 99
_NAMES: Final = [field["name"] for field in SOURCE_SCHEMA]
_RACE_CODES: Final = np.array(list(RACES))


def generate(rows: int, seed: int) -> Columns:
    """Return that many generated births: int64, float64 or bool columns of shape [rows].

    The same seed gives the same rows, and fewer rows are the first of more.
    """
    blocks = list(blocks_of(rows, seed))
    concatenate: Callable[..., Any] = np.ma.concatenate
    return {name: concatenate([block[name] for block in blocks]) for name in _NAMES}


def blocks_of(rows: int, seed: int) -> Iterator[Columns]:
    """Yield the rows of `generate` in blocks, for more rows than memory has room for.

    Raises ValueError unless rows is positive.
    """
    if rows < 1:
        raise ValueError(f"rows must be positive, not {rows}")
    for start in range(0, rows, BLOCK_ROWS):
        block = _block(seed, start // BLOCK_ROWS)
        yield {name: column[: rows - start] for name, column in block.items()}


def rows(columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield the rows as the BigQuery client gives them: Python values, None for null."""
    values = (column.tolist() for column in columns.values())
    for row in zip(*values, strict=True):
        yield dict(zip(columns, row, strict=True))


def instances(count: int, seed: int) -> Iterator[Instance]:
    """Yield that many valid instances, of the rows of `generate` that have one."""
    for block in _endless_blocks(seed):
        for row in rows(block):
            if count <= 0:
                return
            try:
                yield validate(from_row(row))
            except InvalidInstance:
                continue
            count -= 1


def to_arrow(columns: Columns) -> "pyarrow.Table":
    """Return the columns as an Arrow table, which Parquet files and load jobs take."""
    import pyarrow  # noqa: PLC0415 - 0.3 s that workers need not pay

    return pyarrow.table(
        {
            name: pyarrow.array(column.data, mask=np.ma.getmaskarray(column))
            for name, column in columns.items()
        }
    )


def _endless_blocks(seed: int) -> Iterator[Columns]:
    index = 0
    while True:
        yield _block(seed, index)
        index += 1


def _block(seed: int, index: int) -> Columns:
    """Return BLOCK_ROWS births, the same for the same seed and index."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, index))))
    columns = _parents(rng)
    columns["plurality"] = margins.PLURALITIES[_draw(rng, margins.PLURALITY_SHARES)]
    columns["is_male"] = _chance(rng, margins.MALE)
    columns["gestation_weeks"] = _weeks(rng, columns["plurality"])
    columns["weight_pounds"] = _pounds(rng, columns)
    columns["year"] = _years(rng)
    columns["month"] = 1 + _draw(rng, np.full(12, 1 / 12))
    return _with_unknowns(rng, columns)


def _parents(rng: np.random.Generator) -> dict[str, Array]:
    age = margins.AGES[_draw(rng, margins.age_shares())]
    race = _RACE_CODES[_draw(rng, margins.race_shares())]
    married = ~_chance(rng, margins.unmarried_shares(age, race))
    smokes = _chance(rng, margins.smoker_shares(age, married, race))
    return {
        "mother_age": age,
        "mother_race": race,
        "mother_married": married,
        "cigarette_use": smokes,
        "alcohol_use": _chance(rng, margins.drinker_shares(smokes)),
    }


def _weeks(rng: np.random.Generator, plurality: Array) -> Array:
    limits = np.cumsum(margins.week_shares(), axis=1)[plurality - 1]
    reached = (limits[:, :-1] <= rng.random((BLOCK_ROWS, 1))).sum(axis=1)
    weeks: Array = margins.WEEKS[reached]
    return weeks


def _pounds(rng: np.random.Generator, columns: dict[str, Array]) -> Array:
    grams = (
        margins.expected_grams(columns["gestation_weeks"])
        * margins.plurality_factors()[columns["plurality"] - 1]
        * margins.race_factors(columns["mother_race"])
        * margins.age_factors(columns["mother_age"])
        * np.where(columns["is_male"], 1.018, 0.982)
        * np.where(columns["mother_married"], 1.006, 0.990)
        * np.where(columns["cigarette_use"], 0.938, 1.007)
        * np.where(columns["alcohol_use"], 0.975, 1.0)
        * (1 + 0.118 * rng.standard_normal(BLOCK_ROWS))
    )
    # Births are weighed in whole grams; it also keeps rows the same where the last bit is not.
    whole = np.rint(np.clip(grams, margins.LIGHTEST_GRAMS, margins.HEAVIEST_GRAMS))
    pounds: Array = whole / margins.GRAMS_PER_POUND
    return pounds


def _years(rng: np.random.Generator) -> Array:
    after = np.arange(2001, margins.LAST_YEAR + 1)
    shares = [margins.BEFORE_2001, *[(1 - margins.BEFORE_2001) / len(after)] * len(after)]
    years: Array = np.array([margins.FIRST_YEAR, *after])[_draw(rng, np.array(shares))]
    return years


def _with_unknowns(rng: np.random.Generator, columns: dict[str, Array]) -> Columns:
    coded = _chance(rng, margins.GESTATION_UNKNOWN)
    columns["gestation_weeks"] = np.where(coded, _UNKNOWN_WEEKS, columns["gestation_weeks"])
    unreported = {
        "weight_pounds": _chance(rng, margins.WEIGHT_UNREPORTED),
        "mother_race": _chance(rng, margins.RACE_UNREPORTED),
        "plurality": _chance(rng, margins.PLURALITY_UNREPORTED),
        "gestation_weeks": _chance(rng, margins.GESTATION_UNREPORTED),
        "mother_married": _chance(rng, margins.MARRIED_UNREPORTED),
        **_unreported_habits(rng),
    }
    return {name: np.ma.array(columns[name], mask=unreported.get(name, False)) for name in _NAMES}


def _unreported_habits(rng: np.random.Generator) -> dict[str, Array]:
    """Return which births lack each habit: a state that asks for one mostly asks for both."""
    position = rng.random(BLOCK_ROWS)
    return {
        "cigarette_use": position < margins.CIGARETTE_UNREPORTED,
        "alcohol_use": position < margins.ALCOHOL_UNREPORTED,
    }


def _draw(rng: np.random.Generator, shares: Array) -> Array:
    """Return BLOCK_ROWS indices into the shares, each as often as its share says."""
    limits = np.cumsum(shares)[:-1]
    return np.searchsorted(limits, rng.random(BLOCK_ROWS), side="right")


def _chance(rng: np.random.Generator, share: float | Array) -> Array:
    return rng.random(BLOCK_ROWS) < share
