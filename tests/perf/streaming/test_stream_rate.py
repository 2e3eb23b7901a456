"""Offer a rate of messages for a minute: from due to visible in BigQuery, and was it held?

`extra_info` holds the latencies, the backlog at the end, and the cores that each process took.
DATAFLOW_SERVING_PERF_SECONDS sets another length than 60 s.
"""

from collections.abc import Callable
from typing import Any

import pytest

from .bench import SECONDS, Bench, offer
from .figures import rate_tables
from .processes import OURS


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("rate", [10, 100, 1_000])
def test_a_steady_rate(
    benchmark: Any, bench: Bench, show: Callable[[str], None], rate: int
) -> None:
    arguments = (bench, OURS, rate, int(rate * SECONDS))
    offered = benchmark.pedantic(offer, arguments, rounds=1, iterations=1)
    benchmark.extra_info.update(offered.figures.extra_info())
    show(rate_tables(f"stream local at a steady rate for {SECONDS:.0f} s", [offered.figures]))
