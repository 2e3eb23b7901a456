"""How a query in legacy SQL is read.

Source: "Legacy SQL query syntax"
(https://cloud.google.com/bigquery/docs/reference/legacy-sql#query-syntax).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlglot import TokenType, exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError

from tf_dataflow_serving.services.bigquery.errors import InvalidQuery

_PREFIX = re.compile(r"\s*#(?P<dialect>standard|legacy)sql[^\S\n]*(?:\n|$)", re.IGNORECASE)
# What may follow the last of several fields or tables, each of which may end in a comma.
_AFTER_LAST = frozenset(
    {
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.ORDER_BY,
        TokenType.LIMIT,
        TokenType.R_PAREN,
        TokenType.SEMICOLON,
    }
)


class LegacySql(BigQuery):
    """Legacy SQL, as far as it can be told from GoogleSQL by its grammar alone."""

    class Tokenizer(BigQuery.Tokenizer):
        """Names are in brackets, and a comment may also begin with two slashes."""

        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ["`", ("[", "]")]
        COMMENTS: ClassVar[list[str | tuple[str, str]]] = [*BigQuery.Tokenizer.COMMENTS, "//"]
        # EACH is a hint for large tables: it changes no row.
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            **BigQuery.Tokenizer.KEYWORDS,
            "GROUP EACH BY": TokenType.GROUP_BY,
            "JOIN EACH": TokenType.JOIN,
        }

    class Parser(BigQuery.Parser):  # type: ignore[misc, valid-type] # made by a metaclass
        """Functions have the names that were written; a comma between tables is no CROSS JOIN."""

        JOINS_HAVE_EQUAL_PRECEDENCE = False
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CAST": BigQuery.Parser.FUNCTION_PARSERS["CAST"]
        }


def is_legacy(query: Mapping[str, Any]) -> bool:
    """Whether a JobConfigurationQuery, or a QueryRequest, is in legacy SQL, the default there.

    A prefix of the query itself comes first: "Switching SQL dialects"
    (https://cloud.google.com/bigquery/docs/introduction-sql#changing_from_the_default_dialect).
    """
    prefix = _PREFIX.match(str(query.get("query") or ""))
    if prefix:
        return prefix["dialect"].lower() == "legacy"
    given = query.get("useLegacySql")
    return True if given is None else bool(given)


def parsed(sql: str) -> exp.Select:
    """The one SELECT that a query in legacy SQL is; raises InvalidQuery."""
    dialect = LegacySql()
    try:
        tokens = _without_last_commas(dialect.tokenize(_PREFIX.sub("", sql, count=1)))
        statements = [found for found in dialect.parser().parse(tokens, sql) if found is not None]
    except (SqlglotError, RecursionError) as error:
        raise InvalidQuery(f"Legacy SQL: {str(error).partition(chr(10))[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise InvalidQuery(
            "Legacy SQL is one SELECT statement; set useLegacySql to false for GoogleSQL"
        )
    return statements[0]


def _without_last_commas(tokens: Sequence[Any]) -> list[Any]:
    following = [*(token.token_type for token in tokens[1:]), TokenType.SEMICOLON]
    return [
        token
        for token, after in zip(tokens, following, strict=True)
        if token.token_type is not TokenType.COMMA or after not in _AFTER_LAST
    ]
