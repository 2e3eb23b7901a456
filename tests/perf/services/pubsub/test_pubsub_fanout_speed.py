"""Publish 100 messages of 1 KB to a topic with 1,000 subscriptions; then each receives them.

`extra_info` holds `publish_ratio`, to the median of the same with one subscription, and
`settle_ratio`: pulling and acknowledging by one of the thousand, to that by the only one.
"""

import statistics
import time

import pytest

BATCH = 100
ROUNDS = 20
DATA = b"x" * 1_000
TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"
WIDE_TOPIC = "projects/perf/topics/wide"
WIDE_SUBSCRIPTIONS = [f"projects/perf/subscriptions/sub-{number}" for number in range(1_000)]


def seconds(action, *arguments) -> float:
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


@pytest.mark.timeout(600)
def test_publish_to_many_subscriptions(benchmark, pair):
    published = [seconds(pair.publish, TOPIC, DATA, BATCH) for _ in range(ROUNDS)]
    settled = [seconds(pair.settle, SUBSCRIPTION, BATCH) for _ in range(ROUNDS)]
    pair.subscribe(WIDE_TOPIC, *WIDE_SUBSCRIPTIONS)
    benchmark.pedantic(pair.publish, (WIDE_TOPIC, DATA, BATCH), rounds=ROUNDS)
    settled_by_each = [seconds(pair.settle, name, BATCH) for name in WIDE_SUBSCRIPTIONS]
    benchmark.extra_info.update(
        publish_ratio=round(benchmark.stats.stats.median / statistics.median(published), 2),
        settle_ratio=round(statistics.median(settled_by_each) / statistics.median(settled), 2),
    )
