"""Generated births: their margins, their nulls, and that a seed means the same rows."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tf_dataflow_serving.natality.generator import (
    BLOCK_ROWS,
    Columns,
    blocks_of,
    generate,
    instances,
    rows,
    to_arrow,
)
from tf_dataflow_serving.natality.instance import from_row
from tf_dataflow_serving.natality.schema import SOURCE_SCHEMA
from tf_dataflow_serving.natality.validation import InvalidInstance, validate

FIXTURES = Path(__file__).parents[3] / "fixtures" / "natality"
GRAMS_PER_POUND = 453.59237


@pytest.fixture(scope="module")
def births() -> Columns:
    return generate(300_000, seed=1)


def known_weeks(births: Columns) -> Any:
    return np.ma.masked_equal(births["gestation_weeks"], 99)


class TestMargins:
    """The published values are those of `margins`; the tolerances leave room for chance."""

    def test_weight(self, births: Columns) -> None:
        weight = births["weight_pounds"].compressed()
        assert weight.mean() == pytest.approx(7.238, abs=0.1)
        assert weight.std() == pytest.approx(1.329, abs=0.05)
        assert np.percentile(weight, [25, 50, 75]) == pytest.approx([6.56, 7.31, 8.06], abs=0.12)
        assert weight.min() >= 0.5
        assert weight.max() <= 13.46

    def test_age(self, births: Columns) -> None:
        age = births["mother_age"]
        assert age.mean() == pytest.approx(27.34, abs=0.3)
        assert age.std() == pytest.approx(6.17, abs=0.1)
        assert (age.min(), age.max()) >= (12, 12)
        assert age.max() <= 50

    def test_gestation(self, births: Columns) -> None:
        weeks = known_weeks(births)
        assert weeks.mean() == pytest.approx(38.61, abs=0.1)
        assert weeks.std() == pytest.approx(2.58, abs=0.15)
        assert (weeks.min(), weeks.max()) == (17, 47)

    def test_plurality(self, births: Columns) -> None:
        plurality = births["plurality"].compressed()
        assert plurality.mean() == pytest.approx(1.036, abs=0.002)
        assert (plurality == 2).mean() == pytest.approx(0.0322, abs=0.001)
        assert (plurality >= 3).mean() == pytest.approx(0.0019, abs=0.0003)
        assert set(plurality.tolist()) == {1, 2, 3, 4}

    @pytest.mark.parametrize(
        ("plurality", "grams", "weeks"), [(1, 3332, 38.8), (2, 2347, 35.3), (3, 1687, 32.2)]
    )
    def test_multiple_births_are_lighter_and_earlier(
        self, births: Columns, plurality: int, grams: float, weeks: float
    ) -> None:
        those = (births["plurality"] == plurality).filled(False)
        mean_grams = births["weight_pounds"][those].mean() * GRAMS_PER_POUND
        assert mean_grams == pytest.approx(grams, rel=0.05)
        assert known_weeks(births)[those].mean() == pytest.approx(weeks, abs=0.5)

    def test_shares(self, births: Columns) -> None:
        assert births["is_male"].mean() == pytest.approx(0.512, abs=0.004)
        assert births["mother_married"].mean() == pytest.approx(1 - 0.368, abs=0.005)
        assert births["cigarette_use"].mean() == pytest.approx(0.107, abs=0.004)

    def test_races(self, births: Columns) -> None:
        race = births["mother_race"].compressed()
        published = {1: 0.789, 2: 0.148, 3: 0.0105}
        for code, share in published.items():
            assert (race == code).mean() == pytest.approx(share, abs=0.004)
        assert (race > 3).mean() == pytest.approx(0.0524, abs=0.002)


class TestUnknowns:
    def test_nulls_are_where_the_table_has_them(self, births: Columns) -> None:
        nulls = {name: np.ma.getmaskarray(column).mean() for name, column in births.items()}
        assert nulls["cigarette_use"] >= 0.25
        assert nulls["alcohol_use"] >= 0.25
        for name in ("weight_pounds", "mother_race", "plurality", "mother_married"):
            assert 0 < nulls[name] < 0.01
        for name in ("is_male", "mother_age", "year", "month"):
            assert nulls[name] == 0

    def test_some_rows_are_too_old_for_the_source_query(self, births: Columns) -> None:
        assert 0 < (births["year"] <= 2000).mean() < 0.1
        assert set(births["month"].tolist()) == set(range(1, 13))

    def test_few_rows_are_invalid_for_reasons_that_occur(self) -> None:
        reasons = set()
        refused = 0
        for row in rows(generate(20_000, seed=3)):
            try:
                validate(from_row(row))
            except InvalidInstance as invalid:
                refused += 1
                reasons.add(str(invalid))
        assert 0.005 < refused / 20_000 < 0.02
        assert reasons == {
            "gestation_weeks: 99 means unknown",
            "gestation_weeks: missing",
            "plurality: missing",
            "mother_married: missing",
        }


class TestEffects:
    """What there is for a model to learn, each with the others left as they fall."""

    @pytest.mark.parametrize(
        ("name", "heavier", "lighter"),
        [
            ("is_male", True, False),
            ("mother_married", True, False),
            ("cigarette_use", False, True),
            ("mother_race", 1, 2),
            ("plurality", 1, 2),
            ("gestation_weeks", 40, 36),
            ("mother_age", 30, 17),
        ],
    )
    def test_mean_weights_differ(
        self, births: Columns, name: str, heavier: object, lighter: object
    ) -> None:
        weight = births["weight_pounds"]
        means = [
            weight[(births[name] == value).filled(False)].mean() for value in (heavier, lighter)
        ]
        assert means[0] > means[1] + 0.1


class TestSeeds:
    def test_rows_are_those_of_the_fixture_on_every_platform(self) -> None:
        lines = (FIXTURES / "rows.jsonl").read_text().splitlines()
        assert list(rows(generate(len(lines), seed=2005))) == [json.loads(line) for line in lines]

    def test_fewer_rows_are_the_first_of_more(self) -> None:
        more = rows(generate(BLOCK_ROWS + 10, seed=3))
        assert list(islice(more, 50)) == list(rows(generate(50, seed=3)))

    def test_another_seed_gives_other_rows(self) -> None:
        assert list(rows(generate(50, seed=3))) != list(rows(generate(50, seed=4)))

    def test_blocks_differ_from_each_other(self) -> None:
        first, second = blocks_of(2 * BLOCK_ROWS, seed=3)
        assert not np.array_equal(first["weight_pounds"], second["weight_pounds"])


class TestForms:
    @pytest.mark.parametrize("count", [1, 10, BLOCK_ROWS, BLOCK_ROWS + 1])
    def test_as_many_rows_as_asked_for(self, count: int) -> None:
        columns = generate(count, seed=5)
        assert {column.shape for column in columns.values()} == {(count,)}
        assert sum(len(block["year"]) for block in blocks_of(count, seed=5)) == count

    @pytest.mark.parametrize("count", [0, -1])
    def test_no_rows_are_refused(self, count: int) -> None:
        with pytest.raises(ValueError, match="rows must be positive"):
            generate(count, seed=5)

    def test_rows_have_the_tables_columns_and_python_types(self) -> None:
        kinds = {"INTEGER": int, "FLOAT": float, "BOOLEAN": bool}
        for row in rows(generate(500, seed=5)):
            assert list(row) == [field["name"] for field in SOURCE_SCHEMA]
            for field in SOURCE_SCHEMA:
                value = row[field["name"]]
                assert value is None or type(value) is kinds[field["type"]]

    def test_arrow_table_holds_the_same_rows(self) -> None:
        columns = generate(500, seed=5)
        assert to_arrow(columns).to_pylist() == list(rows(columns))


class TestInstances:
    def test_they_are_valid_and_as_many_as_asked_for(self) -> None:
        found = list(instances(1_000, seed=5))
        assert len(found) == 1_000
        assert [validate(dict(instance)) for instance in found] == found

    def test_more_than_a_block_has_room_for(self) -> None:
        assert sum(1 for _ in instances(BLOCK_ROWS + 100, seed=5)) == BLOCK_ROWS + 100

    def test_none(self) -> None:
        assert list(instances(0, seed=5)) == []

    def test_they_are_the_valid_ones_of_the_rows_of_the_same_seed(self) -> None:
        first = next(instances(1, seed=5))
        assert first == validate(from_row(next(rows(generate(1, seed=5)))))
