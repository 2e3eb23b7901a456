"""What the statements of a query are, before the other emulator runs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

_READS = ("SELECT", "WITH")
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_OF_ROWS = ("TABLE", "VIEW")


@dataclass(frozen=True)
class Script:
    """One statement or several, each without its semicolon."""

    statements: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def parse(cls, sql: str) -> Self:
        """What can't be divided into words stays: the emulator is to say what is wrong with it."""
        try:
            parts = list(_parts(sql))
        except (SqlglotError, RecursionError):
            return cls((sql,), ("",))
        return cls(tuple(text for text, _ in parts), tuple(word for _, word in parts))

    @property
    def reads(self) -> bool:
        """Whether this is one statement, which changes nothing."""
        return len(self.words) == 1 and self.words[0] in _READS

    @property
    def statement_type(self) -> str:
        """JobStatistics2.statementType of a query or DML; "" for what has a type of its own.

        Source: https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2.
        """
        if len(self.words) > 1:
            return "SCRIPT"
        if self.reads:
            return "SELECT"
        return next((word for word in self.words if word in _WRITES), "")

    def check(self) -> None:
        """Raise InvalidQuery for what is no SQL."""
        for statement in self.statements:
            try:
                sqlglot.parse(statement, read="bigquery")
            except (SqlglotError, RecursionError) as error:
                raise InvalidQuery(f"Syntax error: {error}") from error

    def remade(self, project: str) -> set[TableRef]:
        """The tables and views that the statements make or drop."""
        found = (_remade(statement, project) for statement in self.statements)
        return {table for table in found if table is not None}


def named(table: exp.Table, project: str) -> TableRef | None:
    """The table of this name; None if it is named without a dataset."""
    path = ".".join(part.name for part in table.parts).split(".")
    if len(path) == 1:
        return None
    return TableRef(".".join(path[:-2]) or project, path[-2], path[-1])


def _parts(sql: str) -> Iterator[tuple[str, str]]:
    """The statements, and the first word of each."""
    start, word = 0, ""
    for token in sqlglot.tokenize(sql, read="bigquery"):
        if token.token_type is TokenType.SEMICOLON:
            if word:
                yield sql[start : token.start], word
            start, word = token.end + 1, ""
        elif token.token_type is not TokenType.L_PAREN:
            word = word or token.text.upper()
    if word:
        yield sql[start:], word


def _remade(statement: str, project: str) -> TableRef | None:
    try:
        parsed = sqlglot.parse_one(statement, read="bigquery")
    except (SqlglotError, RecursionError):
        return None
    if not isinstance(parsed, exp.Create | exp.Drop) or parsed.kind not in _OF_ROWS:
        return None
    # The table may be the one that was there: CREATE TABLE IF NOT EXISTS.
    if isinstance(parsed, exp.Create) and parsed.args.get("exists"):
        return None
    name = parsed.this.find(exp.Table)
    return None if name is None else named(name, project)
