"""Find the highest rate that is held for a minute: higher and higher ones until one is not.

Each has services and a pipeline of its own. DATAFLOW_SERVING_PERF_SECONDS sets another length
than 60 s; DATAFLOW_SERVING_CEILING_RATES other rates, such as "500,1000".
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from .bench import SECONDS, offer
from .conftest import NewBench
from .figures import StreamFigures, rate_tables
from .processes import OURS

RATES_VARIABLE = "DATAFLOW_SERVING_CEILING_RATES"
RATES = [
    int(rate) for rate in os.environ.get(RATES_VARIABLE, "1000,1500,2000,2500,3000,4000").split(",")
]


def climb(new_bench: NewBench) -> Sequence[StreamFigures]:
    """Offer the rates in turn; returns what was found, the first that was not held included."""
    found: list[StreamFigures] = []
    for rate in RATES:
        with new_bench() as bench:
            found.append(offer(bench, OURS, rate, int(rate * SECONDS)).figures)
        if not found[-1].held:
            break
    return found


@pytest.mark.timeout(len(RATES) * (SECONDS + 120))
def test_the_ceiling(benchmark: Any, new_bench: NewBench, show: Callable[[str], None]) -> None:
    found = benchmark.pedantic(climb, (new_bench,), rounds=1, iterations=1)
    benchmark.extra_info.update(
        ceiling_per_second=max((one.offered for one in found if one.held), default=0),
        steps=[one.extra_info() for one in found],
    )
    show(rate_tables(f"stream local, rates held for {SECONDS:.0f} s", found))
