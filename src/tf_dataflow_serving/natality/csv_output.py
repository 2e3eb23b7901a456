"""The lines of a batch experiment's output, in the original's order of columns."""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Final

from tf_dataflow_serving.natality.schema import ESTIMATE, FEATURE_NAMES, LABEL

COLUMNS: Final = (LABEL, *FEATURE_NAMES, ESTIMATE)
HEADER: Final = ",".join(COLUMNS)
"""The first line, without an end of line."""

_END: Final = "\r\n"


def to_csv(row: Mapping[str, object], estimated_weight: float) -> str:
    """Return one line of RFC 4180, without an end of line.

    `row` is an instance, race and booleans as words, with the birth's `weight_pounds` beside its
    features where it is known; whatever else it holds is left out. Null is an empty field, and
    floats have as many digits as it takes to read the same number back.
    """
    line = StringIO()
    values = [row.get(name) for name in COLUMNS[:-1]]
    # The writer quotes line breaks within a field only if they are its own line's end.
    csv.writer(line, lineterminator=_END).writerow([*values, estimated_weight])
    return line.getvalue().removesuffix(_END)
