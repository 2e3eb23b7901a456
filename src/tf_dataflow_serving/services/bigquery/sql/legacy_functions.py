"""The functions of legacy SQL that GoogleSQL has too, by the same or another name.

Source: "Legacy SQL functions and operators"
(https://cloud.google.com/bigquery/docs/reference/legacy-sql) and "Migrating to GoogleSQL".
What is not listed here is refused: some functions share a name and not the meaning.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlglot import exp

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery

Kind = Callable[[exp.Expression], str]
"""The REST name of the type of an expression, "" if it is not known."""

RANKING = frozenset(
    {
        *("ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST", "NTILE"),
        *("LAG", "LEAD"),
    }
)
"""Functions whose window has no frame: legacy SQL's default frame is another."""

_STRINGS = frozenset(
    {
        *("CONCAT", "LOWER", "UPPER", "LTRIM", "RTRIM", "LPAD", "RPAD", "REPLACE", "SUBSTR"),
        *("LEFT", "RIGHT", "REGEXP_EXTRACT", "REGEXP_REPLACE"),
        *("JSON_EXTRACT", "JSON_EXTRACT_SCALAR"),
    }
)
_NUMBERS = frozenset(
    {
        *("SUM", "AVG", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "VARIANCE", "VAR_POP", "VAR_SAMP"),
        *("CORR", "COVAR_POP", "COVAR_SAMP", "ABS", "CEIL", "FLOOR", "ROUND", "SQRT", "POW", "EXP"),
        *("LN", "LOG10", "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN", "ATAN2", "IS_NAN", "IS_INF"),
        "RAND",
    }
)
_ANYTHING = frozenset({"MIN", "MAX", "IFNULL", "COALESCE", "GREATEST", "LEAST"})
_WHOLE_NUMBERS = frozenset({"COUNT", "LENGTH"})
_TIMES = frozenset({"CURRENT_TIMESTAMP", "TIMESTAMP"})
_SAME = _STRINGS | _NUMBERS | _ANYTHING | _WHOLE_NUMBERS | _TIMES | RANKING
_RENAMED: Mapping[str, str] = {
    "REGEXP_MATCH": "REGEXP_CONTAINS",
    "INSTR": "STRPOS",
    "GROUP_CONCAT_UNQUOTED": "STRING_AGG",
    "USEC_TO_TIMESTAMP": "TIMESTAMP_MICROS",
    "MSEC_TO_TIMESTAMP": "TIMESTAMP_MILLIS",
    "SEC_TO_TIMESTAMP": "TIMESTAMP_SECONDS",
    "TIMESTAMP_TO_USEC": "UNIX_MICROS",
    "TIMESTAMP_TO_MSEC": "UNIX_MILLIS",
    "TIMESTAMP_TO_SEC": "UNIX_SECONDS",
}
_PARTS = frozenset(
    {"YEAR", "QUARTER", "MONTH", "DAY", "DAYOFYEAR", "DAYOFWEEK", "HOUR", "MINUTE", "SECOND"}
)
_SQL_NAMES: Mapping[str, str] = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "STRING": "STRING",
    "BOOLEAN": "BOOL",
    "BYTES": "BYTES",
}
# From which types a conversion means the same: INTEGER(1.5) and STRING(1.0) do not.
_CONVERTED_FROM: Mapping[str, frozenset[str]] = {
    "INTEGER": frozenset({"STRING", "INTEGER", "BOOLEAN"}),
    "FLOAT": frozenset({"STRING", "INTEGER", "FLOAT"}),
    "STRING": frozenset({"STRING", "INTEGER", "BOOLEAN"}),
    "BOOLEAN": frozenset({"STRING", "INTEGER", "BOOLEAN"}),
    "BYTES": frozenset({"STRING", "BYTES"}),
}


def google_function(call: exp.Anonymous, kind: Kind) -> exp.Expression:
    """What stands in GoogleSQL for a call; raises InvalidQuery."""
    name, arguments = str(call.this).upper(), call.expressions
    if name in _CONVERTED_FROM:
        return converted(name, _only(name, arguments), kind)
    if name in _OF_ONE:
        return _OF_ONE[name](_only(name, arguments))
    if name == "NOW":
        return _call("UNIX_MICROS", _call("CURRENT_TIMESTAMP"))
    _check_distinct(name, arguments)
    if name in _SAME or name in _RENAMED:
        return _call(_RENAMED.get(name, name), *arguments)
    raise InvalidQuery(f"Legacy SQL: the function {name} is not supported")


def converted(name: str, value: exp.Expression, kind: Kind) -> exp.Expression:
    """A value as another type, null if it is no such text; raises InvalidQuery."""
    source = kind(value)
    if source not in _CONVERTED_FROM.get(name, ()):
        known = source or "an expression whose type is not known here"
        raise InvalidQuery(f"Legacy SQL: {name} of {known} is not supported: {value.sql()}")
    return exp.TryCast(this=value, to=exp.DataType.build(_SQL_NAMES[name], dialect="bigquery"))


def result_kind(call: exp.Anonymous) -> str:
    """The type of what a function of legacy SQL returns, "" if it is not the same always."""
    name = str(call.this).upper()
    if name in _CONVERTED_FROM:
        return name
    if name in _STRINGS or name == "DATE":
        return "STRING"
    is_whole = name in _WHOLE_NUMBERS or name in _PARTS or name.startswith("TIMESTAMP_TO_")
    return "INTEGER" if is_whole or name in ("NOW", "INSTR", "EXACT_COUNT_DISTINCT") else ""


def _only(name: str, arguments: Sequence[Any]) -> Any:
    if len(arguments) != 1:
        raise InvalidQuery(f"Legacy SQL: {name} takes one argument")
    return arguments[0]


def _check_distinct(name: str, arguments: Sequence[Any]) -> None:
    """COUNT(DISTINCT x, n) tells from how many values on the answer is an estimate."""
    distinct = [argument for argument in arguments if isinstance(argument, exp.Distinct)]
    if distinct and (name != "COUNT" or len(distinct[0].expressions) != 1):
        raise InvalidQuery(f"Legacy SQL: {name}(DISTINCT ...) of this form is not supported")


def _call(name: str, *arguments: Any) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _part(name: str) -> Callable[[Any], exp.Expression]:
    return lambda moment: exp.Extract(this=exp.var(name), expression=moment)


_OF_ONE: Mapping[str, Callable[[Any], exp.Expression]] = {
    **{name: _part(name) for name in _PARTS},
    "DATE": lambda moment: _call("FORMAT_TIMESTAMP", exp.Literal.string("%Y-%m-%d"), moment),
    "LOG2": lambda number: _call("LOG", number, exp.Literal.number(2)),
    "EXACT_COUNT_DISTINCT": lambda value: _call("COUNT", exp.Distinct(expressions=[value])),
}
