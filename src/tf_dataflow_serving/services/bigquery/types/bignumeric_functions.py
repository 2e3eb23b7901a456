"""The SQL functions that compute with BIGNUMERIC values, as DuckDB keeps them.

Results are rounded half away from zero at the 38th fractional digit ("Numeric functions",
https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from tf_dataflow_serving.services.bigquery.types.bignumeric import (
    DUCKDB_TYPE,
    FIELD,
    SCALE,
    checked,
    from_units,
    stored_bytes,
    to_units,
    units_of,
)

Stored = Mapping[str, bytes]

# The name by which bqemulator's own translation parses BIGNUMERIC text.
PARSE = "bqemu_to_bignumeric"
TEXT, SUM, AVERAGE = "bignumeric_text", "bignumeric_sum", "bignumeric_average"
ADD, SUBTRACT, MULTIPLY, DIVIDE = (
    "bignumeric_add",
    "bignumeric_subtract",
    "bignumeric_multiply",
    "bignumeric_divide",
)
NEGATE, ABSOLUTE, ROUND = "bignumeric_negate", "bignumeric_absolute", "bignumeric_round"
RETURNS_BIGNUMERIC = frozenset(
    {PARSE, SUM, AVERAGE, ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATE, ABSOLUTE, ROUND}
)

_ONE = 10**SCALE
_ESCAPED_OR_PLAIN = re.compile(r"\\x([0-9A-F]{2})|(.)", re.DOTALL)


class Connection(Protocol):
    """What registering functions needs of a DuckDB connection."""

    def create_function(self, name: str, function: Any, parameters: Any, returns: Any) -> Any:
        """Register a function."""
        ...

    def remove_function(self, name: str) -> Any:
        """Forget a function."""
        ...


def register_functions(connection: Connection) -> None:
    """Make the functions known to SQL; bqemulator's `PARSE`, of 38 digits, makes place."""
    connection.remove_function(PARSE)
    for name, (function, parameters, returns) in _FUNCTIONS.items():
        connection.create_function(name, function, parameters, returns)


def parse(text: str) -> Stored:
    """A number's text as the number; also the text that DuckDB gives a stored one."""
    if text.startswith("{"):
        return _kept(_units_of_text(text))
    try:
        return _kept(to_units(Decimal(text.strip())))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError(f"Invalid BIGNUMERIC value: {text}") from error


def _units_of_text(text: str) -> int:
    """Read `{'__bignumeric__': ...}`, in which other than printable bytes are \\xHH."""
    stored = text.removeprefix(f"{{'{FIELD}': ").removesuffix("}")
    if stored.startswith("'"):
        stored = stored[1:-1].replace("\\\\", "\\")
    escapes = _ESCAPED_OR_PLAIN.findall(stored)
    return units_of(bytes(int(code, 16) if code else ord(plain) for code, plain in escapes))


def text(number: Stored) -> str:
    """A number as text, without needless zeros."""
    written = f"{from_units(_units(number)):f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _units(number: Stored) -> int:
    return units_of(number[FIELD])


def _kept(units: int) -> Stored:
    return {FIELD: stored_bytes(checked(units))}


def _quotient(dividend: int, divisor: int) -> int:
    """Rounded half away from zero; raises ZeroDivisionError."""
    whole, rest = divmod(abs(dividend), abs(divisor))
    rounded = whole + (2 * rest >= abs(divisor))
    return rounded if (dividend < 0) == (divisor < 0) else -rounded


def _binary(compute: Callable[[int, int], int]) -> Callable[[Stored, Stored], Stored]:
    def of(left: Stored, right: Stored) -> Stored:
        return _kept(compute(_units(left), _units(right)))

    return of


def _divide(left: Stored, right: Stored) -> Stored:
    if not _units(right):
        raise ValueError(f"division by zero: {text(left)} / 0")
    return _kept(_quotient(_units(left) * _ONE, _units(right)))


def _round(number: Stored, digits: int) -> Stored:
    step = int(10 ** max(SCALE - digits, 0))
    return _kept(_quotient(_units(number), step) * step)


def _sum(numbers: Sequence[Stored | None]) -> Stored | None:
    present = [_units(number) for number in numbers if number is not None]
    return _kept(sum(present)) if present else None


def _average(numbers: Sequence[Stored | None]) -> Stored | None:
    present = [_units(number) for number in numbers if number is not None]
    return _kept(_quotient(sum(present), len(present))) if present else None


_ONE_NUMBER = [DUCKDB_TYPE]
_TWO_NUMBERS = [DUCKDB_TYPE, DUCKDB_TYPE]
_NUMBERS = [f"{DUCKDB_TYPE}[]"]
_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], list[str], str]] = {
    PARSE: (parse, ["VARCHAR"], DUCKDB_TYPE),
    TEXT: (text, _ONE_NUMBER, "VARCHAR"),
    ADD: (_binary(lambda left, right: left + right), _TWO_NUMBERS, DUCKDB_TYPE),
    SUBTRACT: (_binary(lambda left, right: left - right), _TWO_NUMBERS, DUCKDB_TYPE),
    MULTIPLY: (
        _binary(lambda left, right: _quotient(left * right, _ONE)),
        _TWO_NUMBERS,
        DUCKDB_TYPE,
    ),
    DIVIDE: (_divide, _TWO_NUMBERS, DUCKDB_TYPE),
    NEGATE: (lambda number: _kept(-_units(number)), _ONE_NUMBER, DUCKDB_TYPE),
    ABSOLUTE: (lambda number: _kept(abs(_units(number))), _ONE_NUMBER, DUCKDB_TYPE),
    ROUND: (_round, [DUCKDB_TYPE, "BIGINT"], DUCKDB_TYPE),
    SUM: (_sum, _NUMBERS, DUCKDB_TYPE),
    AVERAGE: (_average, _NUMBERS, DUCKDB_TYPE),
}
