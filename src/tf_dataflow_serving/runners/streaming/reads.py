"""A Pub/Sub read of a pipeline: leased messages in, elements and a watermark out."""

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud import pubsub_v1

from tf_dataflow_serving.runners.leased.leases import Leased
from tf_dataflow_serving.runners.leased.subscription import LeasedSubscription
from tf_dataflow_serving.runners.streaming.evaluation import Evaluated, Output
from tf_dataflow_serving.runners.streaming.graph import Step
from tf_dataflow_serving.runners.streaming.watermark import ReadWatermark

MAX_BUNDLE = 1_000
CLOSE_SECONDS = 10.0
RPC_SECONDS = 10.0
# How long the watermark waits for a message that was given back.
RETURN_SECONDS = 60.0
FIRST_MICROS = MIN_TIMESTAMP.micros
LAST_MICROS = GlobalWindow().max_timestamp().micros


@dataclass(frozen=True, eq=False)
class Batch:
    """Messages that were taken at once; `least` is their least timestamp, in microseconds."""

    read: "PubSubRead"
    messages: Sequence[Leased]
    least: int

    def __len__(self) -> int:
        """The number of messages."""
        return len(self.messages)

    @property
    def name(self) -> str:
        """The same for the same messages, in other processes too."""
        deliveries = "\n".join(one.delivery for one in self.messages)
        return hashlib.blake2b(deliveries.encode(), digest_size=16).hexdigest()

    def acknowledge(self) -> None:
        """Tell the subscription that all that was made of them is written."""
        self.read.acknowledge(self)

    def halves(self) -> "list[Batch]":
        """Return the two halves, which are settled apart."""
        middle = len(self.messages) // 2
        return self.read.replace(self, [self.messages[:middle], self.messages[middle:]])


class PubSubRead:
    """Reads for one step; a read of a topic has a subscription of its own."""

    def __init__(
        self, step: Step, options: Any, on_messages: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        self.step = step
        self._source = step.transform._source
        self._clock = clock
        self._own_subscription = not self._source.subscription_name
        self._path = _subscription(self._source, options)
        self._subscription = LeasedSubscription(
            self._path, on_messages, id_label=self._source.id_label
        )
        (self._output,) = step.applied.outputs.values()
        self._waiting: deque[Batch] = deque()
        self._unprocessed: set[Batch] = set()
        self._returned: dict[str, tuple[int, float]] = {}
        self._watermark = ReadWatermark(clock)

    def take(self) -> Batch | None:
        """Return the next messages; raises SubscriptionFailed if none will ever come."""
        self._receive()
        return self._waiting.popleft() if self._waiting else None

    def evaluate(self, batch: Batch) -> Evaluated:
        """Return the messages as elements. Raises ValueError for a malformed timestamp."""
        element = _with_attributes if self._source.with_attributes else _data
        elements = [
            GlobalWindows.windowed_value(
                element(one.message), timestamp=Timestamp(micros=self._micros(one))
            )
            for one in batch.messages
        ]
        return Evaluated([Output(self._output, elements)])

    def replace(self, batch: Batch, parts: Sequence[Sequence[Leased]]) -> list[Batch]:
        """Process the parts of a batch in its place."""
        self._unprocessed.remove(batch)
        batches = [Batch(self, part, min(map(self._micros_or_published, part))) for part in parts]
        self._unprocessed.update(batches)
        return batches

    def has_unprocessed(self) -> bool:
        """Whether elements are not yet downstream."""
        return bool(self._unprocessed)

    @property
    def is_starved(self) -> bool:
        """Whether all that may be leased at once is held by state."""
        subscription = self._subscription
        return subscription.is_full and not subscription.waiting and not self._unprocessed

    def processed(self, batch: Batch) -> None:
        """Let the watermark pass: the elements are downstream."""
        self._unprocessed.remove(batch)

    def acknowledge(self, batch: Batch) -> None:
        """Acknowledge all messages of a batch."""
        self._subscription.acknowledge(batch.messages)

    def give_back(self, batch: Batch, after: float) -> None:
        """Give a batch back in so many seconds; the watermark waits for it to come again."""
        self._unprocessed.remove(batch)
        until = self._clock() + after + RETURN_SECONDS
        for one in batch.messages:
            self._returned[one.delivery] = (batch.least, until)
        self._subscription.give_back(batch.messages, after)

    def watermark(self) -> Timestamp | None:
        """Return the timestamp before which nothing more is expected; None: not known yet."""
        self._receive()
        now = self._clock()
        if self._subscription.is_disturbed:
            # However long it takes: what comes then may be as old as what came before.
            self._watermark.record(())
        for delivery, (_, until) in list(self._returned.items()):
            if until < now:
                del self._returned[delivery]
        outstanding = [batch.least for batch in self._unprocessed]
        outstanding += [least for least, _ in self._returned.values()]
        micros = self._watermark.current(min(outstanding, default=None))
        return None if micros is None else Timestamp(micros=micros)

    def passes(self, timestamp: Timestamp) -> float:
        """Return the moment at which the watermark gets there if nothing arrives."""
        return self._watermark.passes(timestamp.micros)

    def stop(self) -> None:
        """Take no more messages; those that were not taken are given back."""
        self._subscription.stop()
        while self._waiting:
            self.give_back(self._waiting.popleft(), 0.0)

    def close(self) -> None:
        """Give back what is not acknowledged, and delete the subscription if it is our own."""
        self._subscription.close(CLOSE_SECONDS)
        if self._own_subscription:
            with pubsub_v1.SubscriberClient() as client:
                client.delete_subscription(subscription=self._path, timeout=RPC_SECONDS, retry=None)

    def _receive(self) -> None:
        """Know all that is there: its timestamps hold the watermark before its turn comes."""
        while messages := self._subscription.take(MAX_BUNDLE):
            timestamps = [self._micros_or_published(one) for one in messages]
            self._watermark.record(timestamps)
            for one in messages if self._returned else ():
                self._returned.pop(one.delivery, None)
            batch = Batch(self, messages, min(timestamps))
            self._unprocessed.add(batch)
            self._waiting.append(batch)

    def _micros(self, leased: Leased) -> int:
        name = self._source.timestamp_attribute
        text = leased.message.attributes.get(name) if name else None
        return _published(leased) if text is None else _micros_of(text)

    def _micros_or_published(self, leased: Leased) -> int:
        try:
            return self._micros(leased)
        except ValueError:
            return _published(leased)


def _subscription(source: Any, options: Any) -> str:
    """Return the read's subscription; made if it reads a topic, as Beam's runner does."""
    if source.subscription_name:
        return f"projects/{source.project}/subscriptions/{source.subscription_name}"
    project = options.view_as(GoogleCloudOptions).project or source.project
    path = f"projects/{project}/subscriptions/beam_{int(time.time())}_{secrets.token_hex(4)}"
    topic = f"projects/{source.project}/topics/{source.topic_name}"
    with pubsub_v1.SubscriberClient() as client:
        client.create_subscription(name=path, topic=topic, timeout=RPC_SECONDS, retry=None)
    return path


def _published(leased: Leased) -> int:
    return leased.published // 1_000


def _micros_of(text: str) -> int:
    """Milliseconds since the epoch, or RFC 3339 (ReadFromPubSub, `timestamp_attribute`)."""
    try:
        micros = int(text) * 1_000
    except ValueError:
        micros = _micros_of_rfc3339(text)
    if not FIRST_MICROS <= micros <= LAST_MICROS:
        raise ValueError(f"{text} is beyond what Beam can tell the time of")
    return micros


def _micros_of_rfc3339(text: str) -> int:
    try:
        moment = Timestamp.from_rfc3339(text)
    except OverflowError as error:
        raise ValueError(f"{text}: {error}") from error
    micros: int = moment.to_precision(6, allow_lossy_conversion=True).micros
    return micros


def _data(message: Any) -> bytes:
    data: bytes = message.data
    return data


def _with_attributes(message: Any) -> PubsubMessage:
    return PubsubMessage(
        message.data,
        dict(message.attributes),
        message.message_id,
        DatetimeWithNanoseconds.from_timestamp_pb(message.publish_time),  # type: ignore[no-untyped-call]
        message.ordering_key,
    )
