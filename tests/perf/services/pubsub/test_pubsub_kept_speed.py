"""Publish, pull and acknowledge 1,000 messages of 1 KB while all is kept in a data directory.

`extra_info` holds `ratio`, to the median of the same without one.
"""

import statistics
import time

MESSAGES = 1_000
BATCH = 100
ROUNDS = 20
DATA = b"x" * 1_000
TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"


def move(pair) -> None:
    for _ in range(MESSAGES // BATCH):
        pair.publish(TOPIC, DATA, BATCH)
        pair.settle(SUBSCRIPTION, BATCH)


def seconds(pair) -> float:
    start = time.perf_counter()
    move(pair)
    return time.perf_counter() - start


def test_publish_pull_and_acknowledge_with_a_data_directory(benchmark, new_pair, tmp_path):
    in_memory = new_pair()
    kept = new_pair("--data_dir", str(tmp_path / "data"))
    reference = statistics.median(seconds(in_memory) for _ in range(ROUNDS))
    benchmark.pedantic(move, (kept,), rounds=ROUNDS)
    benchmark.extra_info["ratio"] = round(benchmark.stats.stats.median / reference, 2)
