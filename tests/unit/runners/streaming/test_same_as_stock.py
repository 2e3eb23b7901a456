"""Random streams give the same on this runner as on Beam's own."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms import trigger, window
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.runners.streaming.installation import installed

WAIT_MILLISECONDS = 30_000

_written: dict[str, list[Any]] = defaultdict(list)

Event = tuple[str, Any]


class Write(beam.DoFn):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def process(
        self,
        element: tuple[str, Any],
        timestamp: Any = beam.DoFn.TimestampParam,
        of: Any = beam.DoFn.WindowParam,
    ) -> None:
        key, values = element
        _written[self._name].append((key, tuple(sorted(values)), timestamp, str(of)))


class FlushAtTimer(beam.DoFn):
    BAG = BagStateSpec("bag", StrUtf8Coder())
    FLUSH = TimerSpec("flush", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, str],
        timestamp: Any = beam.DoFn.TimestampParam,
        bag: Any = beam.DoFn.StateParam(BAG),
        flush: Any = beam.DoFn.TimerParam(FLUSH),
    ) -> None:
        bag.add(element[1])
        flush.set(timestamp + 7)

    @on_timer(FLUSH)
    def on_flush(
        self, key: Any = beam.DoFn.KeyParam, bag: Any = beam.DoFn.StateParam(BAG)
    ) -> Iterable[tuple[str, list[str]]]:
        values = list(bag.read())
        bag.clear()
        if values:
            yield key, values


def windows(
    fn: window.WindowFn, **arguments: Any
) -> Callable[[beam.PCollection], beam.PCollection]:
    return lambda events: events | beam.WindowInto(fn, **arguments) | beam.GroupByKey()


TRIGGERED = trigger.AfterWatermark(early=trigger.AfterCount(2), late=trigger.AfterCount(1))
SHAPES = {
    "fixed": windows(window.FixedWindows(10)),
    "sliding": windows(window.SlidingWindows(10, 5)),
    "sessions": windows(window.Sessions(6), allowed_lateness=Duration(20)),
    "accumulating": windows(
        window.FixedWindows(10),
        trigger=TRIGGERED,
        accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
        allowed_lateness=Duration(20),
    ),
    "discarding": windows(
        window.FixedWindows(10),
        trigger=TRIGGERED,
        accumulation_mode=trigger.AccumulationMode.DISCARDING,
        allowed_lateness=Duration(20),
    ),
    "processing time": windows(
        window.GlobalWindows(),
        trigger=trigger.Repeatedly(trigger.AfterProcessingTime(5)),
        accumulation_mode=trigger.AccumulationMode.DISCARDING,
    ),
    "batches": lambda events: events | beam.GroupIntoBatches(3, max_buffering_duration_secs=8),
    "timers": lambda events: events | beam.ParDo(FlushAtTimer()),
}

ELEMENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), min_size=1, max_size=4)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("elements"), ELEMENTS),
        st.tuples(st.just("watermark"), st.integers(1, 20)),
        st.tuples(st.just("time"), st.integers(1, 10)),
    ),
    max_size=8,
)


def stream(events: list[Event]) -> TestStream:
    made, watermark, number = TestStream(), 0, 0
    for kind, value in events:
        if kind == "watermark":
            watermark += value
            made = made.advance_watermark_to(watermark)
        elif kind == "time":
            made = made.advance_processing_time(value)
        else:
            elements = []
            for key, moment in value:
                number += 1
                elements.append(window.TimestampedValue((key, f"{number}"), moment))
            made = made.add_elements(elements)
    # Neither runner ends while a trigger waits for a time that never comes.
    return made.advance_processing_time(100).advance_watermark_to_infinity()


def outcome(
    shape: Callable[[beam.PCollection], beam.PCollection],
    events: list[Event],
    runner: AbstractContextManager[None],
) -> list[Any]:
    name = uuid.uuid4().hex
    with runner:
        pipeline = beam.Pipeline(
            runner=BundleBasedDirectRunner(), options=PipelineOptions([], streaming=True)
        )
        elements = pipeline | stream(events)
        _ = shape(elements) | "Write" >> beam.ParDo(Write(name))
        assert pipeline.run().wait_until_finish(*limit(runner)) == PipelineState.DONE
    return sorted(_written.pop(name, []))


def limit(runner: AbstractContextManager[None]) -> list[int]:
    """Beam's own runner knows no limit in streaming."""
    return [] if isinstance(runner, nullcontext) else [WAIT_MILLISECONDS]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(events=EVENTS)
def test_a_stream_gives_what_it_gives_on_beams_own_runner(shape: str, events: list[Event]) -> None:
    ours = outcome(SHAPES[shape], events, installed())
    assert ours == outcome(SHAPES[shape], events, nullcontext())
