"""The lines of the batch output."""

import csv
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.natality.csv_output import COLUMNS, HEADER, to_csv
from tf_dataflow_serving.natality.instance import Instance


def test_header_is_the_originals() -> None:
    assert HEADER == (
        "weight_pounds,is_male,mother_age,mother_race,plurality,gestation_weeks,"
        "mother_married,cigarette_use,alcohol_use,estimated_weight"
    )


def test_line_is_in_the_order_of_the_header(sample: Instance) -> None:
    line = to_csv({"year": 2005, **sample, "weight_pounds": 7.5}, 7.25)
    assert line == "7.5,True,26.0,Asian Indian,1.0,39,True,False,False,7.25"


def test_unknown_weight_is_an_empty_field(sample: Instance) -> None:
    assert to_csv({**sample, "weight_pounds": None}, 7.25).startswith(",True,")
    assert to_csv(sample, 7.25).startswith(",True,")


fields = st.none() | st.integers() | st.floats(allow_nan=False) | st.text()
rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS[:-1], fields))


@given(rows, st.floats(allow_nan=False))
def test_any_values_are_read_back(row: dict[str, object], estimated_weight: float) -> None:
    line = to_csv(row, estimated_weight)
    (read,) = csv.reader(StringIO(line, newline=""))
    written = [row[name] for name in COLUMNS[:-1]]
    assert read[:-1] == ["" if value is None else str(value) for value in written]
    assert float(read[-1]) == estimated_weight
