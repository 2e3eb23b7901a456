"""All Pub/Sub reads of a pipeline: whose turn it is, and how far their watermarks are."""

from collections import deque
from collections.abc import Sequence

from apache_beam.utils.timestamp import Timestamp

from tf_dataflow_serving.runners.streaming.ledger import END, Ledger
from tf_dataflow_serving.runners.streaming.reads import Batch, PubSubRead


class Inputs:
    """Takes messages from one read after the other."""

    def __init__(self, reads: Sequence[PubSubRead], ledger: Ledger) -> None:
        self._reads = deque(reads)
        self._ledger = ledger
        self._watermarks: dict[PubSubRead, Timestamp] = {}
        self._is_open = bool(reads)

    @property
    def are_open(self) -> bool:
        """Whether more messages may come."""
        return self._is_open

    @property
    def are_starved(self) -> bool:
        """Whether a read can receive nothing, for state holds all that it may lease."""
        return self._is_open and any(read.is_starved for read in self._reads)

    def take(self) -> Batch | None:
        """Return messages that are there. Raises SubscriptionFailed if none will ever come."""
        for _ in range(len(self._reads) if self._is_open else 0):
            self._reads.rotate(-1)
            batch = self._reads[-1].take()
            if batch is not None:
                return batch
        return None

    def stop(self) -> None:
        """Take no more; once all that was taken is processed, the watermarks are at their end."""
        self._is_open = False
        for read in self._reads:
            read.stop()

    def advance_watermarks(self) -> None:
        """Let the pipeline's watermarks follow those of the reads."""
        advanced = [read for read in self._reads if self._advance(read)]
        if advanced:
            self._ledger.refresh()

    def passes(self, timestamp: Timestamp) -> list[float]:
        """Return the times of day at which each watermark gets there if nothing arrives."""
        if not self._is_open or timestamp >= END:
            return []
        return [read.passes(timestamp) for read in self._reads]

    def _advance(self, read: PubSubRead) -> bool:
        watermark = read.watermark() if self._is_open or read.has_unprocessed() else END
        if watermark is None or watermark == self._watermarks.get(read):
            return False
        self._watermarks[read] = watermark
        self._ledger.hold_watermark(read.step, watermark)
        return True
