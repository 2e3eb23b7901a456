"""What BigQuery keeps of a table and the other emulator does not."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_dataflow_serving.services.bigquery.warehouse import TableRef

_DIGITS_OF_SECONDS = range(1, 12)
LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")


@dataclass(frozen=True)
class _Kept:
    made: str
    properties: Mapping[str, Any]


class TableProperties:
    """Properties of tables in REST form, in memory; may be used in any thread.

    `made` tells a table from an earlier one of the same name: what was kept of that one is gone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[TableRef, _Kept] = {}
        self._changes: dict[TableRef, int] = {}

    def get(self, table: TableRef, made: str) -> Mapping[str, Any]:
        """What is kept of a table; nothing if it was made anew since."""
        with self._lock:
            kept = self._kept.get(table)
        return kept.properties if kept is not None and kept.made == made else {}

    def set(self, table: TableRef, made: str, properties: Mapping[str, Any]) -> None:
        """Keep properties in the place of those that are there."""
        with self._lock:
            self._kept[table] = _Kept(made, dict(properties))

    def forget(self, table: TableRef) -> None:
        """Keep nothing of a table any more: it is made anew, or dropped."""
        with self._lock:
            self._kept.pop(table, None)
            self._changes[table] = self._changes.get(table, 0) + 1

    def changes(self, table: TableRef) -> int:
        """How many times the tables of this name were forgotten."""
        with self._lock:
            return self._changes.get(table, 0)


def merged(resource: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The emulator's Table resource with what is kept of it; times become milliseconds.

    Source: Table resource, creationTime "in milliseconds since the epoch"; the emulator writes
    seconds (https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#Table).
    """
    times = {
        name: f"{resource[name]}000"
        for name in ("creationTime", "lastModifiedTime")
        if len(str(resource.get(name, ""))) in _DIGITS_OF_SECONDS
    }
    return {**resource, **times, **kept}
