"""The label filter of datasets.list.

Source: "Filtering datasets using labels"
(https://cloud.google.com/bigquery/docs/filtering-labels#filtering_datasets_using_labels).
Beam's clean-up deletes every dataset that such a list names, so a filter is never read leniently.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest

_TERM = re.compile(r"labels\.(?P<key>[^\s:]+)(:(?P<value>\S*))?")


@dataclass(frozen=True)
class LabelFilter:
    """Terms `labels.key` or `labels.key:value`, apart by blanks; all must hold."""

    terms: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Raises InvalidRequest for anything that is no such list of terms."""
        return cls(tuple(_term(text) for text in _words(expression)))

    def admits(self, labels: Mapping[str, str]) -> bool:
        """Whether a dataset with these labels is listed."""
        return all(key in labels and value in (None, "*", labels[key]) for key, value in self.terms)


def _words(expression: str) -> Iterable[str]:
    return (word for word in expression.split() if word != "AND")


def _term(text: str) -> tuple[str, str | None]:
    match = _TERM.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"Invalid filter: {text!r}. It must be labels.<key>[:<value>]")
    return match["key"], match["value"]
