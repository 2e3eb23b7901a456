"""Publishes generated messages at a steady rate with little CPU time; run as a process.

What is due goes out in one request, at most every 10 ms, as Google's publisher does by default.
A message's source_timestamp is the moment at which it was due: however late this process or the
service is, that counts as latency.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from google import pubsub_v1 as calls
from google.cloud import pubsub_v1

from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.natality.messages import encode

TICK_SECONDS = 0.01
MOST_AT_ONCE = 1_000
DIFFERENT_INSTANCES = 1_000
RPC_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """What to publish. Without a rate, everything is due at once."""

    topic: str
    messages: int
    messages_per_second: float | None

    def due(self, index: int) -> float:
        """Return when a message is due, in seconds after the start."""
        return index / self.messages_per_second if self.messages_per_second else 0.0

    def due_by(self, seconds: float) -> int:
        """Return how many messages are due so many seconds after the start."""
        if not self.messages_per_second:
            return self.messages
        return min(self.messages, int(seconds * self.messages_per_second) + 1)


@dataclass(frozen=True)
class Published:
    """What was done; times in seconds. `latest` is how late the latest message was sent."""

    messages: int
    started: float
    ended: float
    latest: float
    cpu_seconds: float


def publish(load: Load) -> Published:
    """Publish it all; returns when the service has taken the last message."""
    publisher = pubsub_v1.PublisherClient()
    born = itertools.cycle(list(instances(DIFFERENT_INSTANCES, seed=1)))
    cpu, latest = time.process_time(), 0.0
    _tell({"event": "publishing"})
    started, start = time.time(), time.monotonic()
    for span in _spans(load, start):
        messages = [_message(next(born), index, started + load.due(index)) for index in span]
        latest = max(latest, time.monotonic() - start - load.due(span.start))
        _send(publisher, load.topic, messages)
    ended = started + time.monotonic() - start
    publisher.stop()
    return Published(load.messages, started, ended, latest, time.process_time() - cpu)


def _spans(load: Load, start: float) -> Iterator[range]:
    """Yield the messages that are due, a request's worth at a time, once they are."""
    sent = 0
    while sent < load.messages:
        _sleep_until(start + load.due(sent))
        asked = time.monotonic()
        # The one that was waited for is due, whatever rounding says.
        count = min(max(1, load.due_by(asked - start) - sent), MOST_AT_ONCE)
        yield range(sent, sent + count)
        sent += count
        if count < MOST_AT_ONCE:
            _sleep_until(asked + TICK_SECONDS)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _message(instance: Instance, source_id: int, moment: float) -> calls.PubsubMessage:
    data, attributes = encode(instance, source_id, datetime.fromtimestamp(moment, UTC))
    return calls.PubsubMessage.pb()(data=data, attributes=attributes)


def _send(publisher: pubsub_v1.PublisherClient, topic: str, messages: Sequence[object]) -> None:
    """Publish in one request, past the publisher's own batches."""
    request = calls.PublishRequest.wrap(calls.PublishRequest.pb()(topic=topic, messages=messages))
    calls.PublisherClient.publish(publisher, request, retry=None, timeout=RPC_TIMEOUT_SECONDS)


def _load() -> Load:
    parser = argparse.ArgumentParser()
    parser.add_argument("--topic", required=True)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--messages_per_second", type=float)
    return Load(**vars(parser.parse_args()))


def _tell(event: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _tell({"event": "published", "figures": asdict(publish(_load()))})
