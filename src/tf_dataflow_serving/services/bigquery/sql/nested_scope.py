"""What the names in a query stand for, as far as fields of records, arrays and JSON go."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema

SchemaOf = Callable[[exp.Table], Schema | None]


@dataclass
class Source:
    """What stands in FROM: its name, the name it gets, and its columns, None if not known.

    `element` is the item of an array that UNNEST gives, which also goes by the source's name.
    """

    name: str
    renamed: str
    columns: Schema | None
    element: Field | None = None
    is_unnest: bool = False


@dataclass
class Scope:
    """The sources of a SELECT, and the scope around it."""

    outer: "Scope | None" = None
    sources: list[Source] = field(default_factory=list)

    def before(self, count: int) -> "Scope":
        """What the source at this position may refer to: those on its left."""
        return Scope(self.outer, self.sources[:count])

    def named(self, name: str) -> Source | None:
        """The source of this name here or further out."""
        own = (source for source in self.sources if source.name and _same(source.name, name))
        return next(own, None) or (self.outer.named(name) if self.outer else None)

    def with_column(self, name: str) -> tuple[Source, Field] | None:
        """The one source that has a column of this name, here or further out.

        None if there are several, or if it may be one of a source that is not known.
        """
        found = [(source, own) for source in self.sources if (own := _column(source, name))]
        if found:
            return found[0] if len(found) == 1 else None
        if any(source.columns is None and source.element is None for source in self.sources):
            return None
        return self.outer.with_column(name) if self.outer else None

    def is_column(self, name: str) -> bool:
        """Whether a source other than UNNEST is known to have a column of this name."""
        return any(not source.is_unnest and _column(source, name) for source in self.sources)


def _column(source: Source, name: str) -> Field | None:
    return find(source.columns or (), name)


def find(fields: Sequence[Field], name: str) -> Field | None:
    """The field of this name."""
    return next((found for found in fields if _same(found.name, name)), None)


def _same(name: str, other: str) -> bool:
    return name.lower() == other.lower()


@dataclass(frozen=True)
class Step:
    """One access: the expression up to it, and the name or subscript that follows."""

    upto: Any
    key: Any


def is_json(declared: Field | None) -> bool:
    """Whether a field is one JSON value."""
    return declared is not None and declared.type == "JSON" and declared.mode is not Mode.REPEATED


def type_of(node: Any, scope: Scope) -> Field | None:
    """The field that an expression has the type of, None if it is not known."""
    steps = list(steps_of(node))
    return _types(steps, scope)[-1] if steps else _start(node, scope)


def steps_of(node: Any) -> Iterator[Step]:
    """The accesses that an expression is made of, the innermost first."""
    if isinstance(node, exp.Column):
        parts = node.parts
        for index in range(1, len(parts)):
            yield Step(_path(parts[:index]), parts[index].name)
    elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        yield from steps_of(node.this)
        yield Step(node.this, node.expression.name)
    elif isinstance(node, exp.Bracket) and len(node.expressions) == 1:
        yield from steps_of(node.this)
        yield Step(node.this, node.expressions[0])


def typed_steps(steps: Sequence[Step], scope: Scope) -> Iterator[tuple[Step, Field | None]]:
    """Each access with the type of what it is made on; the name of a source has none."""
    return zip(steps, _types(steps, scope), strict=False)


def _types(steps: Sequence[Step], scope: Scope) -> list[Field | None]:
    """The types before the first access and after each."""
    if not steps:
        return []
    types = [_start(steps[0].upto, scope)]
    source = _source(steps[0].upto, scope) if types[0] is None else None
    for step in steps:
        columns = source.columns if source is not None and step is steps[0] else None
        types.append(find(columns, step.key) if columns else member(types[-1], step.key))
    return types


def _path(parts: Sequence[Any]) -> Any:
    column: Any = exp.Column(this=parts[0].copy())
    for part in parts[1:]:
        column = exp.Dot(this=column, expression=part.copy())
    return column


def _source(node: Any, scope: Scope) -> Source | None:
    is_name = isinstance(node, exp.Column) and len(node.parts) == 1
    return scope.named(node.name) if is_name else None


def _start(node: Any, scope: Scope) -> Field | None:
    """The type of what is no access itself."""
    if isinstance(node, exp.Paren):
        return type_of(node.this, scope)
    if isinstance(node, exp.ParseJSON) or (isinstance(node, exp.Cast) and node.is_type("json")):
        return Field("", "JSON")
    if isinstance(node, exp.Column) and len(node.parts) == 1:
        source = scope.named(node.name)
        if source is not None:
            return source.element
        found = scope.with_column(node.name)
        return found[1] if found else None
    return None


def member(known: Field | None, key: Any) -> Field | None:
    """The type of what a name or a subscript takes from a value."""
    if known is None or is_json(known):
        return known
    if known.mode is Mode.REPEATED:
        return None if isinstance(key, str) else replace(known, mode=Mode.NULLABLE)
    return find(known.fields, key) if isinstance(key, str) else None
