"""The result tables of the original README, from what was measured."""

from collections.abc import Sequence

from rich.table import Table

from tf_dataflow_serving.experiments.demo import Outcome
from tf_dataflow_serving.runners.result import BatchSizes

_NOTHING = "-"


def batch_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of the batch experiments."""
    table = _table("Batch: BigQuery to Cloud Storage", "rows", "running time", "vCPU time")
    for heading in ("rows/s", "dead letters", "batch sizes", "check"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        result = outcome.result
        table.add_row(
            str(outcome.combination),
            f"{result.rows:,}",
            _seconds(result.seconds),
            _seconds(result.cpu_seconds),
            f"{result.rows / result.seconds:,.0f}",
            f"{result.dead_letters:,}",
            _batch_sizes(result.batch_sizes),
            _check(outcome),
        )
    return table


def stream_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of the streaming experiments."""
    table = _table("Stream: Pub/Sub to BigQuery", "rows", "running time", "vCPU time")
    for heading in ("offered/s", "rows/s", "batch sizes", "check"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        result = outcome.result
        table.add_row(
            str(outcome.combination),
            f"{result.rows:,}",
            _seconds(result.seconds),
            _seconds(result.cpu_seconds),
            _number(outcome.offered_per_second),
            _stream_rate(outcome),
            _batch_sizes(result.batch_sizes),
            _check(outcome),
        )
    return table


def latency_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the latencies of the streaming experiments."""
    table = _table("Latency, message to prediction", "min", "avg", "max", "p50", "p99")
    for outcome in outcomes:
        found = outcome.statistics
        if found:
            latencies = (
                found.min_latency_seconds,
                found.avg_latency_seconds,
                found.max_latency_seconds,
                found.p50_latency_seconds,
                found.p99_latency_seconds,
            )
            table.add_row(str(outcome.combination), *map(_milliseconds, latencies))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("experiment", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _check(outcome: Outcome) -> str:
    return "all right" if outcome.difference.is_none else str(outcome.difference)


def _stream_rate(outcome: Outcome) -> str:
    found = outcome.statistics
    if found is None or not found.total_seconds:
        return _NOTHING
    return _number(found.row_count / found.total_seconds)


def _batch_sizes(sizes: BatchSizes | None) -> str:
    if sizes is None:
        return _NOTHING
    return f"{sizes.minimum:,} to {sizes.maximum:,}, mean {sizes.mean:,.1f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f} s"


def _milliseconds(value: float | None) -> str:
    return _NOTHING if value is None else f"{value * 1000:,.0f} ms"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.0f}"
