"""The leases of 100,000 messages end at once, and another process receives all of them again.

Meanwhile single messages go through another topic. `extra_info` holds the longest time, in
milliseconds, that one of them took from publish to acknowledge: `longest_ms`, and beside it
`longest_alone_ms`, while the emulator has nothing else to do.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

MESSAGES = 100_000
ALONE = 2_000
DATA = b"x" * 100
LEASE_SECONDS = 601
WAIT_SECONDS = 60.0
TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"
OTHER_TOPIC = "projects/perf/topics/other"
OTHER_SUBSCRIPTION = "projects/perf/subscriptions/other"

RECEIVE = f"""
import sys
from google.cloud import pubsub_v1
subscriber = pubsub_v1.SubscriberClient()
subscriber.get_subscription(subscription="{SUBSCRIPTION}")
print("ready", flush=True)
left = {MESSAGES}
while left > 0:
    pulled = subscriber.pull(subscription="{SUBSCRIPTION}", max_messages=1000)
    left -= len(pulled.received_messages)
"""


@contextmanager
def receiver() -> Iterator[subprocess.Popen]:
    """A process that pulls all messages and ends; it has said that it is about to begin."""
    with subprocess.Popen([sys.executable, "-c", RECEIVE], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def round_trip(pair) -> float:
    """Send one message through the other topic; returns the seconds it took."""
    start = time.perf_counter()
    pair.publish(OTHER_TOPIC, DATA, 1)
    pair.settle(OTHER_SUBSCRIPTION, 1)
    return time.perf_counter() - start


def redeliver(pair, control) -> float:
    """End all leases and wait until all is received; returns the longest round trip."""
    longest = 0.0
    with receiver() as process, ThreadPoolExecutor() as background:
        moved = background.submit(control.advance_clock, LEASE_SECONDS)
        while process.poll() is None:
            longest = max(longest, round_trip(pair))
        moved.result(WAIT_SECONDS)
        assert process.returncode == 0
    return longest


@pytest.mark.timeout(600)
def test_others_during_a_mass_redelivery(benchmark, pair, control):
    pair.subscribe(OTHER_TOPIC, OTHER_SUBSCRIPTION)
    pair.publish(TOPIC, DATA, MESSAGES)
    pair.lease(SUBSCRIPTION, MESSAGES)
    alone = max(round_trip(pair) for _ in range(ALONE))
    longest = benchmark.pedantic(redeliver, (pair, control), rounds=1)
    benchmark.extra_info.update(
        longest_ms=round(longest * 1_000, 1), longest_alone_ms=round(alone * 1_000, 1)
    )
