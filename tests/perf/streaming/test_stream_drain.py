"""Drain 30,000 queued messages, Pub/Sub -> model -> BigQuery, beside Beam's own streaming runner.

Beam's own takes minutes for that many, so it has DATAFLOW_SERVING_PERF_SECONDS (60) and its
rows a second are those of that time. Both have fresh services, the same messages and the same
pipeline with its model loaded, which predicts one by one or whatever a bundle has, up to 1,000;
the time runs from the moment at which it says that it runs.
`extra_info` holds both rates and `ratio`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from .bench import SECONDS
from .conftest import NewBench
from .figures import as_text, first_moments, new_table
from .observer import Arrival
from .processes import OURS, STOCK, CpuMeter

MESSAGES = 30_000
MOST_SECONDS = 600.0


@dataclass(frozen=True)
class Drain:
    """How many messages became visible in what time; `cores` as in `StreamFigures`."""

    messages: int
    seconds: float
    cores: dict[str, float]

    @property
    def rows_per_second(self) -> float:
        """The rate."""
        return self.messages / self.seconds

    @property
    def rows_per_cpu_second(self) -> float:
        """Rows for each CPU second of the pipeline, whatever else the machine does."""
        return self.rows_per_second / self.cores["pipeline"]


def drain(new_bench: NewBench, command: Sequence[str], most_seconds: float) -> Drain:
    """Run a pipeline until its queue is empty, but no longer than `most_seconds`."""
    with new_bench() as bench:
        lane = bench.lane("drain")
        bench.fill(lane, MESSAGES)
        with bench.pipeline(lane, command) as pipeline:
            start, meter = time.time(), CpuMeter(bench.pids(pipeline))
            bench.await_visible(pipeline, MESSAGES, most_seconds)
            seconds, used = time.time() - start, meter.used()
            pipeline.stop()
        arrivals = bench.arrivals.snapshot()
        bench.require_observed(lane, arrivals)
    return _counted(arrivals, start, seconds, used)


def _counted(
    arrivals: Sequence[Arrival], start: float, seconds: float, used: dict[str, float]
) -> Drain:
    """Count what was visible when the time was over; stopping a pipeline takes some more."""
    moments = [moment for moment, _ in first_moments(arrivals).values()]
    in_time = [moment for moment in moments if moment <= start + seconds]
    cores = {name: cpu / seconds for name, cpu in used.items()}
    return Drain(len(in_time), seconds, cores)


def drain_table(batch_size: int, stock: Drain, ours: Drain) -> str:
    names = list(ours.cores)
    table = new_table(
        f"Drain of {MESSAGES:,} queued messages, batch size {batch_size:,}; cores by process",
        *("runner", "rows", "seconds", "rows/s", "rows/CPU s", *names),
    )
    for name, one in (("stock Beam", stock), ("ours", ours)):
        table.add_row(
            name,
            f"{one.messages:,}",
            f"{one.seconds:,.1f}",
            f"{one.rows_per_second:,.0f}",
            f"{one.rows_per_cpu_second:,.0f}",
            *(f"{one.cores[process]:.2f}" for process in names),
        )
    ratio = ours.rows_per_second / stock.rows_per_second
    by_cpu = ours.rows_per_cpu_second / stock.rows_per_cpu_second
    return f"{as_text(table)}\nratio {ratio:.1f}, for each CPU second {by_cpu:.1f}"


@pytest.mark.timeout(MOST_SECONDS + SECONDS + 180)
@pytest.mark.parametrize("batch_size", [1, 1_000])
def test_drain_beside_stock(
    benchmark: Any, new_bench: NewBench, show: Callable[[str], None], batch_size: int
) -> None:
    # Named to both: the default of `run` is its own.
    flag = f"--batch_size={batch_size}"
    stock = drain(new_bench, (*STOCK, flag), SECONDS)
    arguments = (new_bench, (*OURS, flag), MOST_SECONDS)
    ours = benchmark.pedantic(drain, arguments, rounds=1, iterations=1)
    benchmark.extra_info.update(
        ours_rows_per_second=round(ours.rows_per_second, 1),
        stock_rows_per_second=round(stock.rows_per_second, 1),
        ours_rows_per_cpu_second=round(ours.rows_per_cpu_second, 1),
        stock_rows_per_cpu_second=round(stock.rows_per_cpu_second, 1),
        ratio=round(ours.rows_per_second / stock.rows_per_second, 1),
    )
    show(drain_table(batch_size, stock, ours))
