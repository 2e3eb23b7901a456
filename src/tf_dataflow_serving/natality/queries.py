"""The example's queries, in the SQL of BigQuery; the texts are the files in `sql`."""

import re
from importlib.resources import files
from string import Template

from tf_dataflow_serving.errors import UserError


class InvalidTableName(UserError, ValueError):
    """A text is not `[project.]dataset.table`."""


_PROJECT = r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]*"
_TABLE = re.compile(rf"({_PROJECT}\.)?\w+\.[\w-]+", re.ASCII)


def source_query(table: str, limit: int) -> str:
    """Return the original's selection of births from `[project.]dataset.table`, in any order.

    Unknown gestation (99) passes it, as in the original; the validation finds it. Raises
    InvalidTableName, and ValueError for a limit that is not positive.
    """
    if limit < 1:
        raise ValueError(f"limit must be positive, not {limit}")
    return _text("source.sql").substitute(table=_checked(table), limit=limit)


def statistics_query(table: str) -> str:
    """Return the query for the counts, the time and the latencies of a stream's table.

    One row: row_count, distinct_row_count (source_id), and in seconds, down to the microsecond,
    total_seconds (first publish to last predict) and min, avg, max, p50 and p99 of
    _latency_seconds (publish to predict); all but the counts are null for an empty table.
    Raises InvalidTableName.
    """
    return _text("statistics.sql").substitute(table=_checked(table))


def _text(name: str) -> Template:
    return Template((files(__package__) / "sql" / name).read_text(encoding="utf-8"))


def _checked(table: str) -> str:
    """Return the name, which cannot end the quotation it is put in."""
    if not _TABLE.fullmatch(table):
        raise InvalidTableName(f"not a table's name, [project.]dataset.table: {table!r}")
    return table
