"""The result tables of the original README, from what was measured; 80 columns wide.

Batch sizes are the least, the mean and the greatest number of instances per prediction call.
"""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from tf_dataflow_serving.experiments.demo import Outcome
from tf_dataflow_serving.runners.result import BatchSizes

_NOTHING = "-"


def batch_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of the batch experiments."""
    table = _run_table("Batch: BigQuery to Cloud Storage")
    for outcome in outcomes:
        table.add_row(*_run_cells(outcome, outcome.result.rows / outcome.result.seconds))
    return table


def stream_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of the streaming experiments."""
    table = _run_table("Stream: Pub/Sub to BigQuery")
    for outcome in outcomes:
        table.add_row(*_run_cells(outcome, _stream_rate(outcome)))
    return table


def latency_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the latencies of the streaming experiments."""
    table = _table(
        "Latency: message to prediction, in ms", "offered/s", "min", "avg", "max", "p50", "p99"
    )
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
            table.add_row(
                str(outcome.combination),
                _number(outcome.offered_per_second),
                *map(_milliseconds, latencies),
            )
    return table


def _run_table(title: str) -> Table:
    return _table(title, "rows", "dead", "time s", "vCPU s", "rows/s", "batch sizes", "ok")


def _run_cells(outcome: Outcome, rows_per_second: float | None) -> tuple[str, ...]:
    result = outcome.result
    return (
        str(outcome.combination),
        f"{result.rows:,}",
        f"{result.dead_letters:,}",
        f"{result.seconds:,.1f}",
        f"{result.cpu_seconds:,.1f}",
        _number(rows_per_second),
        _batch_sizes(result.batch_sizes),
        "yes" if outcome.difference.is_none else "NO",
    )


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("experiment", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _stream_rate(outcome: Outcome) -> float | None:
    found = outcome.statistics
    if found is None or not found.total_seconds:
        return None
    return found.row_count / found.total_seconds


def _batch_sizes(sizes: BatchSizes | None) -> str:
    if sizes is None:
        return _NOTHING
    return f"{sizes.minimum}/{sizes.mean:.0f}/{sizes.maximum}"


def _milliseconds(value: float | None) -> str:
    return _NOTHING if value is None else f"{value * 1000:,.0f}"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.0f}"
