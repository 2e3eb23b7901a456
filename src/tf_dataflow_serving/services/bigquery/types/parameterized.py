"""The bounds that a column's own length, precision and scale set to its values.

Source: "Parameterized data types"
(https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#parameterized_data_types):
a longer value is an error, a longer fraction is rounded half away from zero.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from tf_dataflow_serving.services.bigquery.types.schema import Field

Converter = Callable[[Any], Any]

_EXACT = Context(prec=200)


def bounded(convert: Converter, field: Field) -> Converter:
    """A converter that also applies the field's parameters; it raises OverflowError."""
    if field.max_length is not None and field.type in ("STRING", "BYTES"):
        return _of_length(convert, field.max_length)
    if field.precision is not None and field.type in ("NUMERIC", "BIGNUMERIC"):
        return _of_precision(convert, field.precision, field.scale or 0)
    return convert


def _of_length(convert: Converter, longest: int) -> Converter:
    def converted(value: Any) -> Any:
        result = convert(value)
        if len(result) > longest:
            raise OverflowError(f"longer than {longest}")
        return result

    return converted


def _of_precision(convert: Converter, precision: int, scale: int) -> Converter:
    quantum = Decimal(1).scaleb(-scale)
    limit = Decimal(10) ** (precision - scale)

    def converted(value: Any) -> Any:
        result = convert(value).quantize(quantum, ROUND_HALF_UP, _EXACT)
        if result.copy_abs() >= limit:
            raise OverflowError(f"more than {precision - scale} digits")
        return result

    return converted
