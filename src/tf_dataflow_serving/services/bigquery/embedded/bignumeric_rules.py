"""Rewrites SQL on BIGNUMERIC values, after its translation to DuckDB, to our functions.

What is not rewritten fails when DuckDB finds no function for such a struct. An operand is known
by its column's type (`table_types`), or as the result of one of our functions.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bqemulator.sql.rules import TranslationRule
from sqlglot import exp

from tf_dataflow_serving.services.bigquery.types import bignumeric_functions as functions
from tf_dataflow_serving.services.bigquery.types.bignumeric import DUCKDB_TYPE, FIELD

Rewrite = Callable[[Any], Any]

# What sqlglot makes of a bare BIGNUMERIC and of a bare NUMERIC.
_BIGNUMERIC_PARAMETERS = ["38", "5"]
_NUMERIC_PARAMETERS: tuple[list[str], ...] = ([], ["18", "3"])
_NUMERIC = "DECIMAL(38, 9)"
_FLOATS = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)


class BignumericRule(TranslationRule):  # type: ignore[misc] # bqemulator is not followed
    """All rewriting of BIGNUMERIC, and of NUMERIC's precision."""

    name = "BIGNUMERIC"

    def applies_to(self, node: Any) -> bool:
        """Whether a node is an operation on a BIGNUMERIC value, or names the type."""
        return _rewritten(node) is not None

    def rewrite(self, node: Any) -> Any:
        """The node to put in its place."""
        return _rewritten(node)


def _rewritten(node: Any) -> Any:
    rewrite = _REWRITES.get(type(node))
    return rewrite(node) if rewrite else None


def is_bignumeric(node: Any) -> bool:
    """Whether an expression is known to have a BIGNUMERIC value."""
    if isinstance(node, exp.Paren):
        return is_bignumeric(node.this)
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in functions.RETURNS_BIGNUMERIC
    if isinstance(node, exp.Window):
        return is_bignumeric(node.this)
    return _is_stored_type(node.to if isinstance(node, exp.Cast) else node.type)


def _is_stored_type(declared: Any) -> bool:
    if not isinstance(declared, exp.DataType) or declared.this is not exp.DataType.Type.STRUCT:
        return False
    return [member.name for member in declared.expressions] == [FIELD]


def _call(name: str, *arguments: Any) -> Any:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _as_text(number: Any) -> Any:
    return _call(functions.TEXT, number)


def _as_bignumeric(value: Any) -> Any:
    if is_bignumeric(value):
        return value.copy()
    return _call(functions.PARSE, exp.cast(value.copy(), "VARCHAR"))


def _type_name(node: Any) -> Any:
    if node.this is not exp.DataType.Type.DECIMAL:
        return None
    parameters = [parameter.name for parameter in node.expressions]
    if parameters == _BIGNUMERIC_PARAMETERS:
        return exp.DataType.build(DUCKDB_TYPE, dialect="duckdb")
    is_bare = parameters in _NUMERIC_PARAMETERS
    return exp.DataType.build(_NUMERIC, dialect="duckdb") if is_bare else None


def _cast(node: Any) -> Any:
    if _is_stored_type(node.to):
        return _as_bignumeric(node.this)
    if not is_bignumeric(node.this):
        return None
    converted = node.copy()
    converted.set("this", _as_text(node.this))
    return _as_text(node.this) if node.to.is_type("text", "varchar") else converted


def _try_cast(node: Any) -> Any:
    if not _is_stored_type(node.to):
        return _cast(node)
    return exp.Anonymous(this="TRY", expressions=[_as_bignumeric(node.this)])


def _arithmetic(name: str) -> Rewrite:
    def rewrite(node: Any) -> Any:
        sides = (node.left, node.right)
        if not any(is_bignumeric(side) for side in sides):
            return None
        if any(side.type and side.type.this in _FLOATS for side in sides):
            return type(node)(this=_as_double(node.left), expression=_as_double(node.right))
        return _call(name, _as_bignumeric(node.left), _as_bignumeric(node.right))

    return rewrite


def _as_double(value: Any) -> Any:
    return exp.cast(_as_text(value), "DOUBLE") if is_bignumeric(value) else value.copy()


def _comparison(node: Any) -> Any:
    """Compare what is in the structs: DuckDB has no BETWEEN for structs, which it makes of two."""
    is_assignment = isinstance(node.parent, exp.Update) and node.arg_key == "expressions"
    if is_assignment or not any(is_bignumeric(side) for side in (node.left, node.right)):
        return None
    return type(node)(this=_stored(node.left), expression=_stored(node.right))


def _stored(value: Any) -> Any:
    arguments = [_as_bignumeric(value), exp.Literal.string(FIELD)]
    return exp.Anonymous(this="struct_extract", expressions=arguments)


def _between(node: Any) -> Any:
    if not is_bignumeric(node.this):
        return None
    low, high = _stored(node.args["low"]), _stored(node.args["high"])
    return exp.Between(this=_stored(node.this), low=low, high=high)


def _in(node: Any) -> Any:
    if not is_bignumeric(node.this) or not node.expressions:
        return None
    return exp.In(this=node.this.copy(), expressions=[_as_bignumeric(e) for e in node.expressions])


def _aggregate(name: str) -> Rewrite:
    def rewrite(node: Any) -> Any:
        if isinstance(node.parent, exp.Window):
            return None
        return _listed(node, name)

    return rewrite


def _listed(node: Any, name: str, window: Any = None) -> Any:
    distinct = isinstance(node.this, exp.Distinct)
    operand = node.this.expressions[0] if distinct else node.this
    if not is_bignumeric(operand):
        return None
    listed: Any = _call("LIST", node.this)
    if window is not None:
        windowed = window.copy()
        windowed.set("this", listed)
        listed = windowed
    return _call(name, listed)


def _window(node: Any) -> Any:
    name = _AGGREGATES.get(type(node.this))
    return _listed(node.this, name, node) if name else None


def _unary(name: str) -> Rewrite:
    def rewrite(node: Any) -> Any:
        return _call(name, node.this) if is_bignumeric(node.this) else None

    return rewrite


def _round(node: Any) -> Any:
    if not is_bignumeric(node.this):
        return None
    digits = node.args.get("decimals") or exp.Literal.number(0)
    return _call(functions.ROUND, node.this, exp.cast(digits.copy(), "BIGINT"))


_AGGREGATES: Mapping[type, str] = {exp.Sum: functions.SUM, exp.Avg: functions.AVERAGE}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_REWRITES: Mapping[type, Rewrite] = {
    exp.DataType: _type_name,
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
    exp.Add: _arithmetic(functions.ADD),
    exp.Sub: _arithmetic(functions.SUBTRACT),
    exp.Mul: _arithmetic(functions.MULTIPLY),
    exp.Div: _arithmetic(functions.DIVIDE),
    **dict.fromkeys(_COMPARISONS, _comparison),
    exp.Between: _between,
    exp.In: _in,
    **{kind: _aggregate(name) for kind, name in _AGGREGATES.items()},
    exp.Window: _window,
    exp.Neg: _unary(functions.NEGATE),
    exp.Abs: _unary(functions.ABSOLUTE),
    exp.Round: _round,
}
