"""Publish to pull of 1 KB messages in batches of 100, and whose CPU time it takes.

`extra_info` holds the CPU time in microseconds a message: `client_cpu_us` of Google's clients
in this process, `emulator_cpu_us` of the emulator, and `emulator_share` of the sum.
"""

import os
import time
from pathlib import Path

import pytest

BATCH = 100
MESSAGES = 1_000
ROUNDS = 20
DATA = b"x" * 1_000
TOPIC = "projects/perf/topics/top"
SUBSCRIPTION = "projects/perf/subscriptions/sub"
WAIT_SECONDS = 30.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, user and system.

    Source: proc(5), /proc/pid/stat: utime and stime are fields 14 and 15; field 2, in
    parentheses, may hold blanks.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def move(publisher, subscriber) -> None:
    """Publish messages, then pull and acknowledge as many."""
    futures = [publisher.publish(TOPIC, DATA) for _ in range(MESSAGES)]
    for future in futures:
        future.result(WAIT_SECONDS)
    left = MESSAGES
    while left:
        response = subscriber.pull(subscription=SUBSCRIPTION, max_messages=BATCH)
        ack_ids = [received.ack_id for received in response.received_messages]
        assert ack_ids
        subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=ack_ids)
        left -= len(ack_ids)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU times come from /proc")
def test_publish_to_pull(benchmark, pair):
    move(pair.publisher, pair.subscriber)
    clients, emulator = time.process_time(), cpu_seconds(pair.process.process.pid)
    benchmark.pedantic(move, (pair.publisher, pair.subscriber), rounds=ROUNDS)
    clients = time.process_time() - clients
    emulator = cpu_seconds(pair.process.process.pid) - emulator
    per_message = 1e6 / (ROUNDS * MESSAGES)
    benchmark.extra_info.update(
        client_cpu_us=round(clients * per_message, 1),
        emulator_cpu_us=round(emulator * per_message, 1),
        emulator_share=round(emulator / (clients + emulator), 3),
    )
