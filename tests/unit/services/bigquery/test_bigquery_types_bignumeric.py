"""BIGNUMERIC: its encodings, and the SQL functions that compute with it."""

from decimal import Decimal, localcontext
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.types import bignumeric, bignumeric_functions
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow

HIGHEST = "578960446186580977117854925043439539266.34992332820282019728792003956564819967"
LOWEST = "-578960446186580977117854925043439539266.34992332820282019728792003956564819968"
UNITS = st.integers(bignumeric.MIN, bignumeric.MAX)
NUMBERS = UNITS.map(bignumeric.from_units)
MAYBE = st.none() | NUMBERS
FIELD = Field("n", "BIGNUMERIC")
NESTED = (
    FIELD,
    Field("ns", "BIGNUMERIC", Mode.REPEATED),
    Field("r", "RECORD", fields=(FIELD, Field("x", "INTEGER"))),
    Field("rs", "RECORD", Mode.REPEATED, (FIELD,)),
)
RECORDS = st.fixed_dictionaries({"n": MAYBE, "x": st.none() | st.just(1)})
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": MAYBE,
            "ns": st.lists(NUMBERS, max_size=3),
            "r": st.none() | RECORDS,
            "rs": st.lists(st.fixed_dictionaries({"n": MAYBE}), max_size=2),
        }
    ),
    max_size=4,
)


@pytest.mark.parametrize(("text", "units"), [(HIGHEST, bignumeric.MAX), (LOWEST, bignumeric.MIN)])
def test_the_range_is_that_of_256_bits(text: str, units: int) -> None:
    assert bignumeric.to_units(Decimal(text)) == units
    assert f"{bignumeric.from_units(units):f}" == text


@pytest.mark.parametrize(
    ("text", "rounded"),
    [("5e-39", "1e-38"), ("-5e-39", "-1e-38"), ("4e-39", "0"), ("1e-9999", "0")],
)
def test_it_rounds_half_away_from_zero(text: str, rounded: str) -> None:
    assert bignumeric.to_units(Decimal(text)) == bignumeric.to_units(Decimal(rounded))


@pytest.mark.parametrize("text", ["6e38", "-6e38", "1e9999", HIGHEST + "9"])
def test_beyond_the_range_is_an_error(text: str) -> None:
    with pytest.raises(OverflowError):
        bignumeric.to_units(Decimal(text))


@given(left=UNITS, right=UNITS)
def test_stored_bytes_sort_as_the_numbers_do(left: int, right: int) -> None:
    stored = bignumeric.stored_bytes(left), bignumeric.stored_bytes(right)
    assert (stored[0] < stored[1]) == (left < right)
    assert bignumeric.units_of(stored[0]) == left


@settings(deadline=None)
@given(rows=ROWS, cut=st.integers(0, 4))
def test_arrow_columns_survive_being_stored(rows: list[dict[str, Any]], cut: int) -> None:
    table = rows_to_arrow(rows, NESTED)
    sliced = pa.concat_tables([table.slice(cut), table.slice(0, cut)])
    for column in sliced.columns:
        stored = bignumeric.to_stored(column)
        assert bignumeric.from_stored(stored).to_pylist() == column.to_pylist()


@pytest.fixture(scope="module")
def database() -> Any:
    connection = duckdb.connect()
    # In place of bqemulator's own, which makes way.
    connection.create_function(bignumeric_functions.PARSE, _parse, ["VARCHAR"], "DECIMAL(38, 10)")
    bignumeric_functions.register_functions(connection)
    yield connection
    connection.close()


def _parse(text: str) -> Decimal:
    return Decimal(text)


def evaluate(database: Any, expression: str) -> str | None:
    number = expression.replace("#", bignumeric_functions.PARSE)
    return str(database.execute(f"SELECT bignumeric_text({number})").fetchone()[0])


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        (f"#('{HIGHEST}')", HIGHEST),
        ("bignumeric_add(#('1e-38'), #('-1'))", "-0." + "9" * 38),
        ("bignumeric_subtract(#('1'), #('2.5'))", "-1.5"),
        ("bignumeric_multiply(#('1e-20'), #('-5e-19'))", "-" + "0." + "0" * 37 + "1"),
        ("bignumeric_divide(#('2'), #('-3'))", "-0." + "6" * 37 + "7"),
        ("bignumeric_negate(#('2'))", "-2"),
        ("bignumeric_absolute(#('-2'))", "2"),
        ("bignumeric_round(#('-2.5'), 0)", "-3"),
        ("bignumeric_round(#('1250'), -2)", "1300"),
        ("bignumeric_sum([#('1.5'), NULL, #('2')])", "3.5"),
        ("bignumeric_average([#('1'), #('1'), #('0')])", "0." + "6" * 37 + "7"),
        ("bignumeric_sum(NULL)", "None"),
        ("bignumeric_add(NULL, #('1'))", "None"),
    ],
)
def test_functions_are_exact(database: Any, expression: str, result: str) -> None:
    assert evaluate(database, expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        f"bignumeric_add(#('{HIGHEST}'), #('1e-38'))",
        f"bignumeric_multiply(#('{HIGHEST}'), #('2'))",
        "bignumeric_divide(#('1'), #('0'))",
        f"bignumeric_sum([#('{HIGHEST}'), #('1')])",
        "#('x')",
        "#('NaN')",
        "#('6e38')",
    ],
)
def test_what_has_no_value_is_an_error(database: Any, expression: str) -> None:
    with pytest.raises(duckdb.Error):
        evaluate(database, expression)


@pytest.mark.parametrize("expression", ["{} + 1", "sum({})", "{} > 1", "CAST({} AS DOUBLE)"])
def test_what_is_not_rewritten_is_an_error(database: Any, expression: str) -> None:
    """So that no statement that gets past the rewriting gives a wrong value."""
    number = f"{bignumeric_functions.PARSE}('1')"
    with pytest.raises(duckdb.Error):
        database.execute(f"SELECT {expression.format(number)}")


@settings(deadline=None, max_examples=200)
@given(units=UNITS)
def test_a_number_is_parsed_from_any_of_its_texts(database: Any, units: int) -> None:
    """DuckDB's own text of a stored number escapes its bytes, and its escapes."""
    with localcontext(prec=200):
        written = str(bignumeric.from_units(units))
    row = database.execute(
        "SELECT bignumeric_text(x), bignumeric_text(bqemu_to_bignumeric(CAST(x AS VARCHAR))) "
        "FROM (SELECT bqemu_to_bignumeric(?) AS x)",
        [written],
    ).fetchone()
    assert [bignumeric.to_units(Decimal(text)) for text in row] == [units, units]
