"""Names of tables, and of partitions of them."""

from dataclasses import dataclass, replace
from typing import Any, Self

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest


@dataclass(frozen=True)
class TableRef:
    """project.dataset.table; the table's name may end in a partition decorator."""

    project: str
    dataset: str
    table: str

    @classmethod
    def from_rest(cls, resource: Any, project: str) -> Self:
        """Read a TableReference, whose project may be left out; raises InvalidRequest."""
        try:
            dataset, table = str(resource["datasetId"]), str(resource["tableId"])
            return cls(str(resource.get("projectId") or project), dataset, table)
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidRequest("Required parameter is missing: table reference") from error

    @property
    def base(self) -> Self:
        """The whole table."""
        return replace(self, table=self.table.partition("$")[0])

    @property
    def partition(self) -> str:
        """What follows the `$` of a partition decorator; empty without one."""
        return self.table.partition("$")[2]

    def to_rest(self) -> dict[str, str]:
        """Write a TableReference."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"
