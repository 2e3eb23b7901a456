"""Pub/Sub reads on the local streaming runner: what is lost, kept, given back, and when."""

import threading
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms import trigger, window
from google.api_core.exceptions import NotFound

from tf_dataflow_serving.runners.leased.subscription import SubscriptionFailed
from tf_dataflow_serving.runners.streaming.control import Control
from tf_dataflow_serving.runners.streaming.pipeline_result import StreamingResult
from tf_dataflow_serving.services.stack import Stack

from .steps import (
    TIMEOUT,
    Debounce,
    Pass,
    Refuse,
    RefuseFirst,
    Sink,
    Write,
    buffered,
    known,
    poll,
)

WAIT_MILLISECONDS = 30_000
HOUR = 3_600.0

pytestmark = pytest.mark.usefixtures("streaming")


def run(build: Callable[[beam.Pipeline], object], **options: Any) -> StreamingResult:
    pipeline = beam.Pipeline(
        runner=BundleBasedDirectRunner(),
        options=PipelineOptions([], streaming=True, project="local-project", **options),
    )
    build(pipeline)
    result = pipeline.run()
    assert isinstance(result, StreamingResult)
    return result


def read(source: Any, **arguments: Any) -> ReadFromPubSub:
    return ReadFromPubSub(subscription=source.subscription, **arguments)


def drained(result: StreamingResult) -> str:
    result.drain()
    return str(result.wait_until_finish(WAIT_MILLISECONDS))


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def counted(messages: beam.PCollection, seconds: int) -> beam.PCollection:
    return (
        messages
        | beam.WindowInto(window.FixedWindows(seconds))
        | beam.WithKeys(0)
        | beam.GroupByKey()
        | beam.FlatMap(lambda group: group[1])
    )


def held(result: StreamingResult) -> int:
    """How many messages are in the state of some step: leased is not yet processed."""
    return result._executor._ledger.holds.messages


def test_what_is_written_is_acknowledged(source: Any, sink: Sink) -> None:
    result = run(lambda p: p | read(source) | beam.ParDo(Write(sink)))
    source.publish(*numbers(5))
    assert sorted(sink.take(5)) == numbers(5)
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE


def test_nothing_is_acknowledged_before_it_is_written(source: Any, sink: Sink, gate: str) -> None:
    result = run(
        lambda p: p | read(source) | beam.ParDo(Pass(gate)) | "Write" >> beam.ParDo(Write(sink))
    )
    source.publish(*numbers(5))
    assert known(gate).entered.wait(TIMEOUT)
    assert source.state().unacknowledged == 5
    known(gate).opened.set()
    sink.take(5)
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE


def test_a_step_that_fails_for_a_while_gets_everything_in_the_end(
    source: Any, sink: Sink, refused: Sink
) -> None:
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.ParDo(RefuseFirst(6, refused))
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    assert set(sink.take(5)) == set(numbers(5))
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE


def test_what_never_succeeds_is_given_back(source: Any, refused: Sink) -> None:
    result = run(lambda p: p | read(source) | beam.ParDo(RefuseFirst(1_000_000, refused)))
    source.publish(*numbers(5))
    refused.take(8)
    assert result.state == PipelineState.RUNNING
    result.cancel()
    assert result.state == PipelineState.CANCELLED
    assert source.state().unacknowledged == 5
    # Some were given back with a delay.
    assert poll(lambda: source.state().out == 0)


def test_one_poison_message_goes_to_the_dead_letters_and_keeps_nobody(
    new_source: Any, sink: Sink, refused: Sink
) -> None:
    dead = new_source()
    policy = {"dead_letter_topic": dead.topic, "max_delivery_attempts": 5}
    source = new_source(dead_letter_policy=policy)
    source.publish(*numbers(200))
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.ParDo(Refuse(b"77", refused))
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    assert set(sink.take(199)) == set(numbers(200)) - {b"77"}

    assert poll(lambda: bool(dead.state().unacknowledged))
    assert poll(lambda: source.state().unacknowledged == 0)
    assert set(refused.rest()) == {b"77"}
    assert drained(result) == PipelineState.DONE
    assert sink.rest() == []


def test_many_poison_messages_do_not_stop_the_others(
    source: Any, sink: Sink, refused: Sink
) -> None:
    source.publish(*[b"poison"] * 20)
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.ParDo(Refuse(b"poison", refused))
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    refused.take(20)
    source.publish(*numbers(5))
    assert set(sink.take(5)) == set(numbers(5))
    result.cancel()
    assert source.state().unacknowledged == 20


def test_what_a_trigger_never_gives_is_not_acknowledged(source: Any, sink: Sink) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        keyed = pipeline | read(source) | beam.WithKeys(0)
        windows = keyed | beam.WindowInto(
            window.FixedWindows(1),
            trigger=trigger.Repeatedly(trigger.AfterCount(100)),
            accumulation_mode=trigger.AccumulationMode.DISCARDING,
        )
        _ = windows | beam.GroupByKey() | beam.ParDo(Write(sink))

    result = run(build)
    source.publish(b"first")
    assert poll(lambda: held(result) == 1)
    later = time.time() + 5
    assert poll(lambda: time.time() > later)
    source.publish(b"second")
    assert poll(lambda: held(result) == 2)
    drained(result)
    assert sink.rest() == []
    assert source.state().unacknowledged == 2


def test_what_is_buffered_is_not_acknowledged_and_is_given_back(source: Any, sink: Sink) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        messages = pipeline | read(source)
        _ = messages | "Seen" >> beam.ParDo(Write(sink))
        buffered(messages, "Buffer", 1_000, HOUR)

    result = run(build)
    source.publish(*numbers(5))
    sink.take(5)
    assert poll(lambda: source.state().out == 5)
    result.cancel()
    assert (source.state().unacknowledged, source.state().out) == (5, 0)


def test_a_flushed_buffer_is_acknowledged(source: Any, sink: Sink) -> None:
    result = run(
        lambda p: (
            buffered(p | read(source), "Buffer", 1_000, 0.2) | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    assert set(sink.take(5)) == set(numbers(5))
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE


def test_two_buffers_one_after_the_other_are_flushed_by_a_drain(source: Any, sink: Sink) -> None:
    result = run(
        lambda p: (
            buffered(buffered(p | read(source), "First", 2, HOUR), "Second", 1_000, HOUR)
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    assert poll(lambda: held(result) == 5)
    assert drained(result) == PipelineState.DONE
    assert set(sink.rest()) == set(numbers(5))
    assert source.state().unacknowledged == 0


def test_a_value_that_waits_for_its_timer_is_acknowledged_after_it(source: Any, sink: Sink) -> None:
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.WithKeys(0).with_output_types(tuple[int, bytes])
            | beam.ParDo(Debounce(0.2))
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(b"only")
    assert sink.take(1) == [b"only"]
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE


def test_a_value_that_still_waits_for_its_timer_is_given_back(source: Any, sink: Sink) -> None:
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.WithKeys(0).with_output_types(tuple[int, bytes])
            | beam.ParDo(Debounce(HOUR))
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(b"only")
    assert poll(lambda: held(result) == 1)
    assert drained(result) == PipelineState.DONE
    assert sink.rest() == []
    assert (source.state().unacknowledged, source.state().out) == (1, 0)


def test_a_drain_does_not_wait_for_a_trigger(source: Any, sink: Sink) -> None:
    hourly = trigger.Repeatedly(trigger.AfterProcessingTime(3_600))
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.WithKeys(0)
            | beam.WindowInto(
                window.GlobalWindows(),
                trigger=hourly,
                accumulation_mode=trigger.AccumulationMode.DISCARDING,
            )
            | beam.GroupByKey()
            | beam.FlatMap(lambda group: group[1])
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    assert poll(lambda: held(result) == 5)
    assert drained(result) == PipelineState.DONE
    assert set(sink.rest()) == set(numbers(5))
    assert source.state().unacknowledged == 0


def test_a_window_waits_for_what_was_given_back(source: Any, sink: Sink, refused: Sink) -> None:
    """It is not late when it comes again."""
    result = run(
        lambda p: (
            counted(p | read(source) | beam.ParDo(RefuseFirst(5, refused)), 1)
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(b"again")
    assert sink.take(1) == [b"again"]
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE


def test_a_held_watermark_takes_no_time_of_the_processor(
    source: Any, sink: Sink, refused: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []
    wait = Control.wait

    def counting(control: Control, timeout: float | None) -> None:
        waits.append(timeout)
        wait(control, timeout)

    monkeypatch.setattr(Control, "wait", counting)
    result = run(
        lambda p: (
            counted(p | read(source) | beam.ParDo(Refuse(b"3", refused)), 1)
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    # It was given back, and has come again; its window is over all the while.
    refused.take(9)
    assert len(waits) < 1_000
    result.cancel()


def test_what_a_trigger_would_keep_for_good_is_given_back(source: Any, sink: Sink) -> None:
    result = run(
        lambda p: (
            p
            | read(source)
            | beam.WithKeys(0)
            | beam.WindowInto(
                window.GlobalWindows(),
                trigger=trigger.Repeatedly(trigger.AfterCount(100)),
                accumulation_mode=trigger.AccumulationMode.DISCARDING,
            )
            | beam.GroupByKey()
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    assert poll(lambda: held(result) == 5)
    assert drained(result) == PipelineState.DONE
    assert (source.state().unacknowledged, source.state().out) == (5, 0)


def test_old_messages_lose_nothing_in_windows(source: Any, sink: Sink) -> None:
    """A day apart from each other, in random order."""
    moments = [1_700_000_000_000 + 86_400_000 * number for number in range(20)]
    for number, moment in enumerate(sorted(moments, key=str)):
        source.publish(b"%d" % number, at=str(moment))
    result = run(
        lambda p: (
            counted(p | read(source, timestamp_attribute="at"), 60)
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    assert set(sink.take(20)) == set(numbers(20))
    assert drained(result) == PipelineState.DONE
    assert source.state().unacknowledged == 0


def test_the_same_label_comes_once(source: Any, sink: Sink) -> None:
    result = run(lambda p: p | read(source, id_label="id") | beam.ParDo(Write(sink)))
    for label in ("a", "b", "a", "b", "c"):
        source.publish(label.encode(), id=label)
    assert set(sink.take(3)) == {b"a", b"b", b"c"}
    assert poll(lambda: source.state().unacknowledged == 0)
    assert drained(result) == PipelineState.DONE
    assert sink.rest() == []


def test_attributes_come_with_the_message(source: Any, sink: Sink) -> None:
    result = run(lambda p: p | read(source, with_attributes=True) | beam.ParDo(Write(sink)))
    (message_id,) = source.publish(b"data", ordering_key="key", colour="red")
    (message,) = sink.take(1)
    assert (message.data, message.attributes) == (b"data", {"colour": "red"})
    assert (message.message_id, message.ordering_key) == (message_id, "key")
    assert abs(message.publish_time.timestamp() - source.control.now().timestamp()) < TIMEOUT
    assert drained(result) == PipelineState.DONE


def subscriptions(source: Any) -> list[str]:
    return [one.name for one in source.control.subscriptions() if one.topic == source.topic]


def read_topic(source: Any, sink: Sink) -> StreamingResult:
    result = run(lambda p: p | ReadFromPubSub(topic=source.topic) | beam.ParDo(Write(sink)))
    assert poll(lambda: len(subscriptions(source)) == 2)
    return result


@pytest.mark.parametrize("end", ["drain", "cancel"])
def test_a_topic_is_read_by_a_subscription_that_goes_with_it(
    source: Any, sink: Sink, end: str
) -> None:
    result = read_topic(source, sink)
    source.publish(b"data")
    assert sink.take(1) == [b"data"]
    getattr(result, end)()
    result.wait_until_finish(WAIT_MILLISECONDS)
    assert subscriptions(source) == [source.subscription]


def test_a_failing_pipeline_takes_its_subscription_with_it(
    on_stack: Stack, source: Any, sink: Sink
) -> None:
    missing = f"projects/{on_stack.endpoints.project}/subscriptions/not-there"

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "There" >> ReadFromPubSub(topic=source.topic) | beam.ParDo(Write(sink))
        _ = pipeline | "Missing" >> ReadFromPubSub(subscription=missing)

    with pytest.raises(SubscriptionFailed, match="not-there"):
        run(build).wait_until_finish(WAIT_MILLISECONDS)
    assert subscriptions(source) == [source.subscription]


def test_a_missing_topic_is_an_error(on_stack: Stack, sink: Sink) -> None:
    missing = f"projects/{on_stack.endpoints.project}/topics/not-there"
    with pytest.raises(NotFound, match="not-there"):
        run(lambda p: p | ReadFromPubSub(topic=missing) | beam.ParDo(Write(sink)))


def test_several_reads_flow_into_one(new_source: Any, sink: Sink) -> None:
    sources = [new_source() for _ in range(3)]

    def build(pipeline: beam.Pipeline) -> None:
        reads = [pipeline | f"Read{n}" >> read(one) for n, one in enumerate(sources)]
        merged = reads | beam.Flatten()
        _ = counted(merged, 1) | "Write" >> beam.ParDo(Write(sink))

    result = run(build)
    for number, source in enumerate(sources):
        source.publish(b"%d" % number)
    assert set(sink.take(3)) == set(numbers(3))
    assert drained(result) == PipelineState.DONE
    assert [source.state().unacknowledged for source in sources] == [0, 0, 0]


def test_more_than_the_leases_allow_is_read_on_with_one_warning(
    source: Any, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    result = run(
        lambda p: (
            buffered(p | read(source), "Buffer", 100_000, HOUR) | "Write" >> beam.ParDo(Write(sink))
        )
    )
    for _ in range(12):
        source.publish(*numbers(1_000))
    assert poll(lambda: source.state().out < 9_001 and source.state().unacknowledged < 9_001)
    assert drained(result) == PipelineState.DONE
    assert len(sink.rest()) == 12_000
    assert source.state().unacknowledged == 0
    warnings = [one for one in caplog.records if "acknowledged before" in one.getMessage()]
    assert len(warnings) == 1


def test_a_drain_takes_nothing_more(source: Any, sink: Sink, gate: str) -> None:
    """What waits is given back, however much it is: the end is not put off by it."""
    result = run(
        lambda p: p | read(source) | beam.ParDo(Pass(gate)) | "Write" >> beam.ParDo(Write(sink))
    )
    source.publish(*numbers(20))
    assert known(gate).entered.wait(TIMEOUT)
    source.publish(*numbers(2_000))
    assert poll(lambda: source.state().out == 2_020)
    result.drain()
    known(gate).opened.set()
    assert result.wait_until_finish(WAIT_MILLISECONDS) == PipelineState.DONE
    written = len(sink.rest())
    assert written <= 20
    assert source.state().unacknowledged == 2_020 - written
    assert source.state().out == 0


def test_the_error_is_raised_also_if_it_came_before_the_wait(on_stack: Stack, sink: Sink) -> None:
    missing = f"projects/{on_stack.endpoints.project}/subscriptions/not-there"
    result = run(lambda p: p | ReadFromPubSub(subscription=missing) | beam.ParDo(Write(sink)))
    assert poll(lambda: result.state == PipelineState.FAILED)
    with pytest.raises(Exception, match="not-there"):
        result.wait_until_finish(WAIT_MILLISECONDS)
    assert "not-there" in str(result.error)


def test_a_slow_step_makes_nothing_late_that_waits(source: Any, sink: Sink, gate: str) -> None:
    """The first bundle takes longer than the watermark waits for news; the others are old."""
    for _ in range(3):
        source.publish(*numbers(900))
    result = run(
        lambda p: (
            counted(p | read(source) | beam.ParDo(Pass(gate)), 1)
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    assert known(gate).entered.wait(TIMEOUT)
    assert poll(lambda: source.state().out == 2_700)
    threading.Event().wait(4.0)
    known(gate).opened.set()
    assert len(sink.take(2_700)) == 2_700
    assert drained(result) == PipelineState.DONE


def test_a_buffer_before_a_window_loses_nothing_at_the_end(source: Any, sink: Sink) -> None:
    result = run(
        lambda p: (
            counted(buffered(p | read(source), "Buffer", 1_000, HOUR), 60)
            | "Write" >> beam.ParDo(Write(sink))
        )
    )
    source.publish(*numbers(5))
    assert poll(lambda: held(result) == 5)
    assert drained(result) == PipelineState.DONE
    assert set(sink.rest()) == set(numbers(5))
    assert source.state().unacknowledged == 0


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00:00+23:59", "9" * 40, "9" * 25])
def test_a_malformed_timestamp_is_a_poison_message(source: Any, sink: Sink, text: str) -> None:
    result = run(lambda p: p | read(source, timestamp_attribute="at") | beam.ParDo(Write(sink)))
    source.publish(b"bad", at=text)
    source.publish(b"good", at="1700000000000")
    assert sink.take(1) == [b"good"]
    assert poll(lambda: source.state().unacknowledged == 1)
    assert result.state == PipelineState.RUNNING
    assert drained(result) == PipelineState.DONE
    assert source.state().unacknowledged == 1
