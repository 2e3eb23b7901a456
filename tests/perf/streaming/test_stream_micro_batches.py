"""The original's micro-batches: 5,000 messages at 100 a second, sizes 10, 150 and 500 or 1 s.

`extra_info` holds the sizes that the prediction calls had, and the latencies.
DATAFLOW_SERVING_PERF_SECONDS, where less than 50, makes it as many seconds.
"""

from collections.abc import Callable
from typing import Any

import pytest

from .bench import SECONDS, Bench, Offered, offer
from .figures import as_text, new_table
from .processes import MICRO_BATCHES

RATE = 100
MESSAGES = int(min(5_000, RATE * SECONDS))
BATCH_SECONDS = 1.0


def sizes_table(size: int, offered: Offered) -> str:
    sizes, late = offered.result["batch_sizes"], offered.figures.latencies
    latencies = ("p50 ms", "p95 ms", "p99 ms", "max ms")
    table = new_table(
        f"stream-m-batches local, {MESSAGES:,} messages at {RATE}/s, T = {BATCH_SECONDS} s",
        *("N", "calls", "least", "mean", "most", *latencies, "missing", "doubled"),
    )
    table.add_row(
        str(size),
        f"{sizes['calls']:,}",
        f"{sizes['minimum']:,}",
        f"{sizes['mean']:,.1f}",
        f"{sizes['maximum']:,}",
        *(f"{value * 1e3:,.0f}" for value in (late.p50, late.p95, late.p99, late.maximum)),
        f"{offered.figures.missing:,}",
        f"{offered.figures.doubled:,}",
    )
    return as_text(table)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [10, 150, 500])
def test_micro_batches(
    benchmark: Any, bench: Bench, show: Callable[[str], None], size: int
) -> None:
    command = (*MICRO_BATCHES, f"--batch_size={size}", f"--batch_seconds={BATCH_SECONDS}")
    arguments = (bench, command, RATE, MESSAGES)
    offered = benchmark.pedantic(offer, arguments, rounds=1, iterations=1)
    benchmark.extra_info.update(
        offered.figures.extra_info(), batch_sizes=dict(offered.result["batch_sizes"])
    )
    show(sizes_table(size, offered))
