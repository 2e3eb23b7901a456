"""CREATE OR REPLACE, which the other emulator does by halves: it breaks a table that is there."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.upstream.ddl import table_path
from tf_dataflow_serving.services.bigquery.upstream.scripts import named
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

_OR_REPLACE = re.compile(r"\bOR\s+REPLACE\s+", re.IGNORECASE)


class Kind(StrEnum):
    """What can be replaced."""

    TABLE = "TABLE"
    VIEW = "VIEW"


@dataclass(frozen=True)
class Replacement:
    """A CREATE OR REPLACE statement, and where in it the name stands."""

    kind: Kind
    table: TableRef
    sql: str
    start: int
    end: int

    @classmethod
    def parse(cls, sql: str, project: str) -> Self | None:
        """The statement, whose table has its dataset; None if it is another, or several.

        Raises InvalidQuery for a view that reads itself.
        """
        if _OR_REPLACE.search(sql) is None:
            return None
        try:
            statements = sqlglot.parse(sql, read="bigquery")
        except (SqlglotError, RecursionError):
            return None
        made = statements[0] if len(statements) == 1 else None
        if not isinstance(made, exp.Create) or not made.args.get("replace"):
            return None
        if made.kind not in set(Kind) or made.find(exp.TemporaryProperty) is not None:
            return None
        return cls._of(made, sql, project)

    @classmethod
    def _of(cls, made: exp.Create, sql: str, project: str) -> Self | None:
        name = made.find(exp.Table)
        if name is None:
            return None
        table = named(name, project)
        if table is None:
            return None
        sources = (named(source, project) for source in made.find_all(exp.Table))
        if Kind(str(made.kind)) is Kind.VIEW and [*sources].count(table) > 1:
            raise InvalidQuery(f"The view {table} can't read itself")
        spans = [part.meta for part in name.parts if "start" in part.meta]
        start, end = min(span["start"] for span in spans), max(span["end"] for span in spans)
        return cls(Kind(str(made.kind)), table, sql, start, end + 1)

    def as_create(self, table: TableRef) -> str:
        """The statement without OR REPLACE, under another name."""
        head = _OR_REPLACE.sub("", self.sql[: self.start], count=1)
        return f"{head}{table_path(table)}{self.sql[self.end :]}"
