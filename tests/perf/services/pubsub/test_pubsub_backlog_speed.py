"""Pull and acknowledge 100 messages while 200,000 others are leased.

`extra_info` holds `ratio`, to the median of the same with nothing leased, and
`bytes_beyond_payload`: what a leased message takes of the emulator's resident memory, without its
own data.
"""

import os
import statistics
import time
from pathlib import Path

import pytest

BATCH = 100
LEASED = 200_000
ROUNDS = 50
DATA = b"x" * 1_000
TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process: proc(5), second field of /proc/pid/statm."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def median_seconds(pair) -> float:
    """Return the usual time of a round without the benchmark's help."""
    took = []
    for _ in range(ROUNDS):
        pair.publish(TOPIC, DATA, BATCH)
        start = time.perf_counter()
        pair.settle(SUBSCRIPTION, BATCH)
        took.append(time.perf_counter() - start)
    return statistics.median(took)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory comes from /proc")
def test_pull_and_acknowledge_beside_a_large_backlog(benchmark, pair):
    reference = median_seconds(pair)
    before = resident_bytes(pair.process.process.pid)
    for _ in range(0, LEASED, LEASED // 20):
        pair.publish(TOPIC, DATA, LEASED // 20)
        pair.lease(SUBSCRIPTION, LEASED // 20)
    grown = resident_bytes(pair.process.process.pid) - before
    benchmark.pedantic(
        pair.settle,
        (SUBSCRIPTION, BATCH),
        setup=lambda: pair.publish(TOPIC, DATA, BATCH),
        rounds=ROUNDS,
    )
    benchmark.extra_info.update(
        ratio=round(benchmark.stats.stats.median / reference, 2),
        bytes_beyond_payload=round(grown / LEASED - len(DATA)),
    )
