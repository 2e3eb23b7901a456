"""What became of every message: in the table, in the dead letters, more than once, or lost."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from google.cloud import bigquery

from tf_dataflow_serving.pipelines.dead_letter import TABLE_SUFFIX
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl

QUERY_TIMEOUT_SECONDS = 30.0
# A source may be broken JSON: it is the message as it came.
_SOURCE_ID = re.compile(r'"source_id": ?"?(\d+)')


@dataclass(frozen=True)
class Account:
    """How often each source_id arrived, beside those that were published.

    `dead_letters` are the rows of the pipeline's table of errors, or what a subscription passed
    on to its dead-letter topic.
    """

    published: frozenset[int]
    rows: Mapping[int, int]
    dead_letters: Mapping[int, int] = field(default_factory=dict)

    @property
    def arrived(self) -> frozenset[int]:
        """The ids that are somewhere."""
        return frozenset(self.rows) | frozenset(self.dead_letters)

    @property
    def lost(self) -> frozenset[int]:
        """Those that are nowhere."""
        return self.published - self.arrived

    @property
    def strangers(self) -> frozenset[int]:
        """Those that nobody published."""
        return self.arrived - self.published

    @property
    def duplicates(self) -> int:
        """How many rows and dead letters there are beyond the first of each id."""
        total = sum(self.rows.values()) + sum(self.dead_letters.values())
        return total - len(self.arrived)

    def __str__(self) -> str:
        return (
            f"{len(self.published)} published, {len(self.rows)} in the table, "
            f"{len(self.dead_letters)} dead letters, {len(self.lost)} lost, "
            f"{self.duplicates} duplicates"
        )


@dataclass(frozen=True)
class Ledger:
    """Counts what a pipeline has written; `table` is DATASET.TABLE.

    Without a `dead_letter_topic` the dead letters are in the table of errors beside it.
    """

    client: bigquery.Client
    table: str
    control: PubSubControl
    dead_letter_topic: str | None = None

    def rows(self) -> Counter[int]:
        """Return how often each id is in the table of estimates."""
        query = f"SELECT source_id, COUNT(*) FROM `{self.table}` GROUP BY source_id"  # noqa: S608
        return Counter({row[0]: row[1] for row in self._query(query)})

    def dead_letters(self) -> Counter[int]:
        """Return how often each id is among the dead letters."""
        if self.dead_letter_topic is not None:
            letters = self.control.messages(topic=self.dead_letter_topic)
            return Counter(source_id(letter.data.decode()) for letter in letters)
        query = f"SELECT source FROM `{self.table}{TABLE_SUFFIX}`"  # noqa: S608
        return Counter(source_id(row[0]) for row in self._query(query))

    def arrived(self) -> int:
        """Return how many different messages are somewhere: cheap, to be asked again and again."""
        rows = f"SELECT COUNT(DISTINCT source_id) FROM `{self.table}`"  # noqa: S608
        if self.dead_letter_topic is not None:
            return int(self._query(rows)[0][0]) + len(self.dead_letters())
        letters = f"SELECT COUNT(DISTINCT source) FROM `{self.table}{TABLE_SUFFIX}`"  # noqa: S608
        return int(self._query(f"SELECT ({rows}) + ({letters})")[0][0])

    def account(self, published: Iterable[int]) -> Account:
        """Compare both tables with what was published."""
        return Account(frozenset(published), self.rows(), self.dead_letters())

    def _query(self, query: str) -> list[bigquery.Row]:
        return list(self.client.query_and_wait(query, wait_timeout=QUERY_TIMEOUT_SECONDS))


def source_id(source: str) -> int:
    """Return the id in a message's data; raises ValueError if it has none."""
    found = _SOURCE_ID.search(source)
    if found is None:
        raise ValueError(f"a dead letter of no message: {source!r}")
    return int(found[1])
