"""Rewrites SQL on GEOGRAPHY values, after its translation to DuckDB."""

from typing import Any

from bqemulator.sql.rules import TranslationRule
from sqlglot import exp


class GeographyTextRule(TranslationRule):  # type: ignore[misc] # bqemulator is not followed
    """ST_ASTEXT in BigQuery's spelling: no space after the name of a shape."""

    name = "ST_ASTEXT"

    def applies_to(self, node: Any) -> bool:
        """Whether a node is a call of ST_ASTEXT."""
        return isinstance(node, exp.Anonymous) and str(node.this).upper() == self.name

    def rewrite(self, node: Any) -> Any:
        """The node to put in its place."""
        texts = [exp.Literal.string(text) for text in (r"([A-Z]) \(", r"\1(", "g")]
        return exp.Anonymous(this="regexp_replace", expressions=[node.copy(), *texts])
