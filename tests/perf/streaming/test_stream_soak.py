"""Ten minutes at 500 messages a second: does the pipeline's resident memory stay flat?

`extra_info` holds the medians of the first and of the last minute, and the slope of all samples
but those of the first minute. DATAFLOW_SERVING_SOAK_SECONDS sets another length than 600 s.
"""

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import psutil
import pytest

from .bench import MOST_CATCH_UP_SECONDS, Bench
from .figures import StreamFigures, as_text, new_table, rate_tables
from .processes import OURS, CpuMeter, EventProcess, published
from .publish_steadily import Load

SECONDS = float(os.environ.get("DATAFLOW_SERVING_SOAK_SECONDS", "600"))
RATE = 500
EVERY_SECONDS = 5.0
MINUTE = 60.0
MIB = 1024 * 1024
# Generous: 300,000 messages that are kept, of 1 to 2 KiB each in Python, would be 300 and more.
MOST_GROWTH_MIB = 200.0


@dataclass(frozen=True)
class Sample:
    """The resident memory of the pipeline, in MiB, so many seconds after the first message."""

    seconds: float
    rss: float


@dataclass(frozen=True)
class Memory:
    """What the samples say: medians in MiB, slope in MiB a minute."""

    first_minute: float
    last_minute: float
    slope: float
    most: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Memory":
        """Summarize samples, of which there is at least one."""
        end = samples[-1].seconds
        later = [one for one in samples if one.seconds >= MINUTE] or samples
        return cls(
            first_minute=_median(one for one in samples if one.seconds < MINUTE),
            last_minute=_median(one for one in samples if one.seconds > end - MINUTE),
            slope=_slope_per_minute(later),
            most=max(one.rss for one in samples),
        )


def _median(samples: Iterator[Sample]) -> float:
    return statistics.median(one.rss for one in samples)


def _slope_per_minute(samples: Sequence[Sample]) -> float:
    if len(samples) < 2:
        return 0.0
    times, sizes = zip(*((one.seconds, one.rss) for one in samples), strict=True)
    return statistics.linear_regression(times, sizes).slope * MINUTE


def sampled(pipeline: EventProcess, publisher: EventProcess) -> list[Sample]:
    """Sample the pipeline's memory until the publisher ends."""
    process = psutil.Process(pipeline.process.pid)
    steps = takewhile(lambda _: not _ended(publisher, EVERY_SECONDS), count())
    samples = []
    for step in steps:
        pipeline.raise_if_ended()
        samples.append(Sample(step * EVERY_SECONDS, process.memory_info().rss / MIB))
    return samples


def _ended(publisher: EventProcess, timeout: float) -> bool:
    try:
        publisher.process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def soak(bench: Bench) -> tuple[StreamFigures, list[Sample]]:
    """Offer the rate all the time."""
    lane = bench.lane("soak")
    load = Load(lane.topic, int(RATE * SECONDS), RATE)
    with bench.pipeline(lane, OURS) as pipeline:
        with bench.publishing(load) as publisher:
            meter = CpuMeter(bench.pids(pipeline))
            samples = sampled(pipeline, publisher)
            sent, used = published(publisher, load), meter.used()
        bench.await_visible(pipeline, load.messages, MOST_CATCH_UP_SECONDS)
        pipeline.stop()
    arrivals = bench.arrivals.snapshot()
    bench.require_observed(lane, arrivals)
    return StreamFigures.of(RATE, sent, arrivals, used), samples


def memory_table(memory: Memory) -> str:
    table = new_table(
        f"Resident memory of the pipeline in {SECONDS:,.0f} s at {RATE}/s, in MiB",
        *("first minute", "last minute", "slope a minute", "most"),
    )
    table.add_row(
        f"{memory.first_minute:,.1f}",
        f"{memory.last_minute:,.1f}",
        f"{memory.slope:+.2f}",
        f"{memory.most:,.1f}",
    )
    return as_text(table)


@pytest.mark.timeout(SECONDS + 300)
def test_a_soak(benchmark: Any, bench: Bench, show: Callable[[str], None]) -> None:
    figures, samples = benchmark.pedantic(soak, (bench,), rounds=1, iterations=1)
    memory = Memory.of(samples)
    benchmark.extra_info.update(
        figures.extra_info(),
        first_minute_mib=round(memory.first_minute, 1),
        last_minute_mib=round(memory.last_minute, 1),
        slope_mib_per_minute=round(memory.slope, 2),
    )
    show(rate_tables(f"stream local for {SECONDS:,.0f} s", [figures]) + memory_table(memory))
    assert memory.last_minute - memory.first_minute < MOST_GROWTH_MIB
