"""The leased read on the local streaming runner, against a real Pub/Sub emulator."""

import queue
import uuid
from collections.abc import Callable, Iterator

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult
from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1

from tf_dataflow_serving.runners.local import LeasedReads, failure, leased_reads, local_runner
from tf_dataflow_serving.services.stack import Stack

TIMEOUT = 30.0

_written: "dict[str, queue.SimpleQueue[bytes]]" = {}


class Write(beam.DoFn):
    """Stands for a sink in this process; the runner copies steps, so it goes by name."""

    def __init__(self, sink: str) -> None:
        super().__init__()
        self.sink = sink

    def process(self, element: bytes) -> None:
        _written[self.sink].put(element)


class Fail(beam.DoFn):
    def process(self, element: bytes) -> None:
        raise ValueError(f"cannot take {element!r}")


@pytest.fixture
def sink() -> Iterator[str]:
    name = uuid.uuid4().hex
    _written[name] = queue.SimpleQueue()
    yield name
    del _written[name]


@pytest.fixture
def subscription(on_stack: Stack) -> Iterator[str]:
    name = f"leased-{uuid.uuid4().hex}"
    project = on_stack.endpoints.project
    topic = f"projects/{project}/topics/{name}"
    path = f"projects/{project}/subscriptions/{name}"
    publisher = pubsub_v1.PublisherClient()
    publisher.create_topic(name=topic)
    with pubsub_v1.SubscriberClient() as client:
        client.create_subscription(name=path, topic=topic, ack_deadline_seconds=10)
        for number in range(5):
            publisher.publish(topic, b"%d" % number).result(TIMEOUT)
        yield path
        client.delete_subscription(subscription=path)
    publisher.stop()


def left(subscription: str) -> set[bytes]:
    """Return what is still to be delivered."""
    found: set[bytes] = set()
    with pubsub_v1.SubscriberClient() as client:
        while True:
            try:
                response = client.pull(
                    subscription=subscription, max_messages=100, timeout=1, retry=None
                )
            except DeadlineExceeded:
                return found
            if not response.received_messages:
                return found
            found |= {received.message.data for received in response.received_messages}


def run(subscription: str, steps: Callable[[beam.PCollection], object]) -> PipelineResult:
    pipeline = beam.Pipeline(
        runner=local_runner(streaming=True),
        options=PipelineOptions([], streaming=True, project="local-project"),
    )
    steps(pipeline | ReadFromPubSub(subscription=subscription))
    return pipeline.run()


def first_failure(result: PipelineResult) -> BaseException:
    while (error := failure(result)) is None:
        continue
    return error


def micro_batches(messages: beam.PCollection, seconds: float) -> beam.PCollection:
    return (
        messages
        | beam.WithKeys(lambda _: 0)
        | beam.GroupIntoBatches.WithShardedKey(1_000, max_buffering_duration_secs=seconds)
        | beam.FlatMap(lambda batch: batch[1])
    )


def take(sink: str) -> set[bytes]:
    return {_written[sink].get(timeout=TIMEOUT) for _ in range(5)}


EVERYTHING = {b"0", b"1", b"2", b"3", b"4"}


def test_what_is_written_is_acknowledged(subscription: str, sink: str) -> None:
    with leased_reads() as reads:
        result = run(subscription, lambda messages: messages | beam.ParDo(Write(sink)))
        assert take(sink) == EVERYTHING
        assert reads.wait_until_settled(TIMEOUT)
        result.cancel()
    assert left(subscription) == set()


def test_what_fails_is_given_back(subscription: str) -> None:
    with leased_reads():
        result = run(subscription, lambda messages: messages | beam.ParDo(Fail()))
        assert "cannot take" in str(first_failure(result))
        result.cancel()
    assert left(subscription) == EVERYTHING


def test_what_is_buffered_in_state_is_given_back(subscription: str, sink: str) -> None:
    def never_flushed(messages: beam.PCollection) -> object:
        _ = messages | "Seen" >> beam.ParDo(Write(sink))
        return micro_batches(messages, seconds=3_600)

    with leased_reads() as reads:
        result = run(subscription, never_flushed)
        assert take(sink) == EVERYTHING
        assert not reads.wait_until_settled(0.5)
        result.cancel()
    assert left(subscription) == EVERYTHING


def test_a_flushed_micro_batch_is_acknowledged(subscription: str, sink: str) -> None:
    with leased_reads() as reads:
        result = run(
            subscription,
            lambda messages: micro_batches(messages, seconds=0.2) | beam.ParDo(Write(sink)),
        )
        assert take(sink) == EVERYTHING
        assert reads.wait_until_settled(TIMEOUT)
        result.cancel()
    assert left(subscription) == set()


def test_a_subscription_that_is_not_there_ends_the_pipeline(on_stack: Stack, sink: str) -> None:
    missing = f"projects/{on_stack.endpoints.project}/subscriptions/not-there"
    with leased_reads():
        result = run(missing, lambda messages: messages | beam.ParDo(Write(sink)))
        assert "not-there" in str(first_failure(result))
        result.cancel()


def test_without_a_pipeline_there_is_nothing_to_wait_for() -> None:
    assert LeasedReads().wait_until_settled(0)
