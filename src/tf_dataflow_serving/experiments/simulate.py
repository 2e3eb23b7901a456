"""Publishes the original's messages at a steady rate."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.cloud import pubsub_v1

from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.natality.messages import encode

PUBLISH_TIMEOUT_SECONDS = 60.0
# A batch waits no longer than this, which is then part of every latency.
_BATCHING = pubsub_v1.types.BatchSettings(max_latency=0.005)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Clock:
    """The time, and a way to let it pass; both in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class Simulation:
    """What was published. `last_delay` is how late the last message was, in seconds."""

    source_ids: range
    seconds: float
    last_delay: float

    @property
    def messages_per_second(self) -> float:
        """The rate that was held; the first message opens the interval."""
        return len(self.source_ids) / self.seconds


@dataclass(frozen=True)
class Load:
    """How many messages, how fast, and from which generated rows."""

    messages: int
    messages_per_second: float
    seed: int


def simulate(
    topic: str, load: Load, on_progress: Callable[[int], None], clock: Clock
) -> Simulation:
    """Publish generated instances to a topic, projects/P/topics/T, at a rate without drift.

    The i-th message is due i / rate after the start, so that a late one does not delay those
    behind it. Returns once the service has taken them all. Message ids follow the clock in
    microseconds, so that those of different runs differ. `on_progress` gets the count so far.
    """
    publisher = pubsub_v1.PublisherClient(batch_settings=_BATCHING)
    first_id = (clock.now() - _EPOCH) // timedelta(microseconds=1)
    ids = range(first_id, first_id + load.messages)
    futures = []
    start = clock.monotonic()
    delay = 0.0
    generated = instances(load.messages, load.seed)
    for source_id, instance, due in zip(ids, generated, due_times(load, clock), strict=True):
        delay = clock.monotonic() - due
        data, attributes = encode(instance, source_id, clock.now())
        futures.append(publisher.publish(topic, data, **attributes))
        on_progress(len(futures))
    for future in futures:
        future.result(PUBLISH_TIMEOUT_SECONDS)
    publisher.stop()
    return Simulation(ids, clock.monotonic() - start, delay)


def due_times(load: Load, clock: Clock) -> Iterator[float]:
    """Yield, for each message, the moment at which it was due, once that has come."""
    start = clock.monotonic()
    for index in range(load.messages):
        due = start + index / load.messages_per_second
        clock.sleep(max(0.0, due - clock.monotonic()))
        yield due
