"""Whole pipelines on the streaming runner, fed by TestStream, without any service."""

import logging
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder, StrUtf8Coder, VarIntCoder
from apache_beam.io.gcp.bigquery import _StreamToBigQuery
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms import window
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.utils.timestamp import Timestamp

from tf_dataflow_serving.runners.streaming.control import Control
from tf_dataflow_serving.runners.streaming.installation import installed
from tf_dataflow_serving.runners.streaming.pipeline_result import StreamingResult

OURS = "tf_dataflow_serving.runners.streaming.failures"
BEAMS = "apache_beam.runners.common"
WAIT_SECONDS = 30.0
WAIT_MILLISECONDS = 30_000


class Notes:
    """What the DoFns of one test have seen; they are copied, and so find it by its name."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Any]] = defaultdict(list)
        self.entered = threading.Event()
        self.opened = threading.Event()


_notes: dict[str, Notes] = {}


class Noting(beam.DoFn):
    """A DoFn with access to the notes of its test."""

    def __init__(self, notes: str) -> None:
        super().__init__()
        self._name = notes

    @property
    def notes(self) -> Notes:
        return _notes[self._name]


class Write(Noting):
    def process(self, element: Any) -> None:
        self.notes.seen["written"].append(element)


class FailFirst(Noting):
    """Raises so many times, then passes everything on."""

    def __init__(self, notes: str, times: int) -> None:
        super().__init__(notes)
        self._times = times

    def process(self, element: Any) -> Iterable[Any]:
        failed = self.notes.seen["failed"]
        if len(failed) < self._times:
            failed.append(element)
            raise ValueError(f"cannot take {element}")
        yield element


class Wait(Noting):
    def process(self, element: Any) -> Iterable[Any]:
        self.notes.entered.set()
        assert self.notes.opened.wait(WAIT_SECONDS)
        yield element


class Living(Noting):
    """Notes what becomes of it; `raises` is an element that it cannot take, the first time."""

    def __init__(self, notes: str, raises: int | None = None) -> None:
        super().__init__(notes)
        self._raises = raises

    def setup(self) -> None:
        self.notes.seen["life"].append("setup")

    def start_bundle(self) -> None:
        self.notes.seen["bundles"].append(self)

    def process(self, element: int) -> None:
        if element == self._raises and not self.notes.seen["raised"]:
            self.notes.seen["raised"].append(element)
            raise ValueError(element)

    def teardown(self) -> None:
        self.notes.seen["life"].append("teardown")


class CountKey(beam.DoFn):
    """Numbers the elements of a key, in its state."""

    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())

    def __init__(self) -> None:
        super().__init__()
        self.elements = Metrics.counter("test", "elements")
        self.numbers = Metrics.distribution("test", "numbers")

    def process(
        self, element: tuple[str, str], seen: Any = beam.DoFn.StateParam(SEEN)
    ) -> Iterable[tuple[str, int]]:
        number = (seen.read() or 0) + 1
        seen.write(number)
        self.elements.inc()
        self.numbers.update(number)
        yield element[0], number


class Buffer(Noting):
    """Keeps elements in a bag until their timer fires, which fails so many times."""

    BAG = BagStateSpec("bag", StrUtf8Coder())
    FLUSH = TimerSpec("flush", TimeDomain.WATERMARK)

    def __init__(self, notes: str, failures: int) -> None:
        super().__init__(notes)
        self._failures = failures

    def process(
        self,
        element: tuple[str, str],
        timestamp: Any = beam.DoFn.TimestampParam,
        bag: Any = beam.DoFn.StateParam(BAG),
        flush: Any = beam.DoFn.TimerParam(FLUSH),
    ) -> None:
        bag.add(element[1])
        flush.set(timestamp + 10)

    @on_timer(FLUSH)
    def on_flush(self, bag: Any = beam.DoFn.StateParam(BAG)) -> Iterable[list[str]]:
        values = sorted(bag.read())
        bag.clear()
        if len(self.notes.seen["fired"]) < self._failures:
            self.notes.seen["fired"].append(values)
            raise ValueError("cannot flush")
        yield values


class RingLater(Noting):
    """Sets a timer of processing time that always fails."""

    STATE = ReadModifyWriteStateSpec("last", BytesCoder())
    RING = TimerSpec("ring", TimeDomain.REAL_TIME)

    def process(
        self,
        element: tuple[str, bytes],
        last: Any = beam.DoFn.StateParam(STATE),
        ring: Any = beam.DoFn.TimerParam(RING),
    ) -> None:
        last.write(element[1])
        ring.set(Timestamp.now())

    @on_timer(RING)
    def on_ring(self, last: Any = beam.DoFn.StateParam(STATE)) -> None:
        self.notes.seen["rung"].append(last.read())
        raise ValueError("nobody answers")


@pytest.fixture
def notes() -> Iterator[str]:
    name = uuid.uuid4().hex
    _notes[name] = Notes()
    yield name
    del _notes[name]


@pytest.fixture(autouse=True)
def streaming() -> Iterator[None]:
    with installed():
        yield


def start(build: Callable[[beam.Pipeline], object]) -> StreamingResult:
    pipeline = beam.Pipeline(
        runner=BundleBasedDirectRunner(), options=PipelineOptions([], streaming=True)
    )
    build(pipeline)
    result = pipeline.run()
    assert isinstance(result, StreamingResult)
    return result


def run(build: Callable[[beam.Pipeline], object]) -> StreamingResult:
    result = start(build)
    assert result.wait_until_finish(WAIT_MILLISECONDS) == PipelineState.DONE
    return result


def stream(*bundles: list[Any]) -> TestStream:
    made = TestStream()
    for bundle in bundles:
        made = made.add_elements(bundle)
    return made.advance_watermark_to_infinity()


def written(notes: str) -> list[Any]:
    return _notes[notes].seen["written"]


def keyed(key: str, *values: str) -> list[tuple[str, str]]:
    return [(key, value) for value in values]


def counters(result: StreamingResult) -> dict[str, Any]:
    found = result.metrics().query()
    return {
        one.key.metric.name: one.result for one in (*found["counters"], *found["distributions"])
    }


def kept_keys(result: StreamingResult) -> dict[str, int]:
    """How many keys each step still has state for."""
    states = result._executor._ledger._states
    kept = {step.name: len(keys) for step, keys in states.items() if keys}
    return {name: keys for name, keys in kept.items() if not name.startswith("TestStream")}


def test_an_error_is_raised_after_four_attempts(notes: str) -> None:
    result = start(lambda p: p | stream([1]) | beam.ParDo(FailFirst(notes, 1_000)))
    with pytest.raises(ValueError, match="cannot take 1"):
        result.wait_until_finish(WAIT_MILLISECONDS)
    assert _notes[notes].seen["failed"] == [1] * 4
    assert result.state == PipelineState.FAILED
    assert isinstance(result.error, ValueError)


def test_a_step_may_fail_three_times(notes: str) -> None:
    result = run(
        lambda p: (
            p
            | stream([1], [2])
            | beam.ParDo(FailFirst(notes, 3))
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert written(notes) == [1, 2]
    assert result.failed_bundles == 3
    assert result.error is None


def test_an_error_is_shown_once_and_counted(notes: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run(lambda p: p | stream([1]) | "Step" >> beam.ParDo(FailFirst(notes, 3)))
    first, summary = [record.getMessage() for record in caplog.records if record.name == OURS]
    assert "Step failed" in first
    assert "ValueError" in first
    assert "cannot take 1" in first
    assert "Step failed 3 times" in summary
    assert not [record for record in caplog.records if record.name == BEAMS]


def test_beam_still_says_what_fails_in_other_threads(
    notes: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = start(lambda p: p | stream([1]) | beam.ParDo(Wait(notes)))
    assert _notes[notes].entered.wait(WAIT_SECONDS)
    try:
        raise ValueError("of somebody else")
    except ValueError:
        logging.getLogger(BEAMS).exception("failed")
    _notes[notes].opened.set()
    result.wait_until_finish(WAIT_MILLISECONDS)
    assert [record.name for record in caplog.records if record.exc_info] == [BEAMS]


def test_a_failing_turn_leaves_states_and_metrics_as_they_were(notes: str) -> None:
    result = run(
        lambda p: (
            p
            | stream(keyed("a", "1"), keyed("a", "2", "3"))
            | beam.ParDo(CountKey())
            | beam.ParDo(FailFirst(notes, 3))
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert written(notes) == [("a", 1), ("a", 2), ("a", 3)]
    assert counters(result)["elements"] == 3
    numbers = counters(result)["numbers"]
    assert (numbers.count, numbers.min, numbers.max) == (3, 1, 3)


def test_a_failing_turn_leaves_side_inputs_as_they_were(notes: str) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        events = pipeline | stream([1, 2])
        _ = events | beam.ParDo(FailFirst(notes, 3))
        side = events | "Side" >> beam.Map(lambda element: element * 10)
        main = pipeline | beam.Create(["main"])
        _ = (
            main
            | beam.Map(lambda element, values: (element, sorted(values)), AsList(side))
            | "Write" >> beam.ParDo(Write(notes))
        )

    run(build)
    assert written(notes) == [("main", [10, 20])]


def test_a_failing_timer_fires_again_with_what_was_there(notes: str) -> None:
    run(
        lambda p: (
            p
            | TestStream()
            .add_elements([window.TimestampedValue(("a", value), 1) for value in "xy"])
            .advance_watermark_to(5)
            .add_elements([window.TimestampedValue(("a", "z"), 5)])
            .advance_watermark_to_infinity()
            | beam.ParDo(Buffer(notes, failures=3))
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert _notes[notes].seen["fired"] == [["x", "y", "z"]] * 3
    assert written(notes) == [["x", "y", "z"]]


def test_one_key_whose_timer_fails_does_not_keep_the_others(notes: str) -> None:
    result = start(
        lambda p: (
            p
            | stream([*keyed("a", "1"), *keyed("b", "2"), *keyed("c", "3")])
            | beam.ParDo(Buffer(notes, failures=0))
            | beam.ParDo(RefuseAlways(notes, ["2"]))
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    with pytest.raises(ValueError, match="never"):
        result.wait_until_finish(WAIT_MILLISECONDS)
    assert sorted(written(notes)) == [["1"], ["3"]]


class RefuseAlways(Noting):
    def __init__(self, notes: str, poison: Any) -> None:
        super().__init__(notes)
        self._poison = poison

    def process(self, element: Any) -> Iterable[Any]:
        if element == self._poison:
            raise ValueError(f"never: {element}")
        yield element


def test_a_dofn_lives_through_many_bundles(notes: str) -> None:
    run(lambda p: p | stream([1], [2], [3]) | beam.ParDo(Living(notes)))
    assert _notes[notes].seen["life"] == ["setup", "teardown"]
    assert len(set(map(id, _notes[notes].seen["bundles"]))) == 1
    assert len(_notes[notes].seen["bundles"]) == 3


def test_a_dofn_is_thrown_away_after_an_exception(notes: str) -> None:
    run(lambda p: p | stream([1], [2], [3]) | beam.ParDo(Living(notes, raises=2)))
    assert _notes[notes].seen["life"] == ["setup", "teardown"] * 2
    assert len(set(map(id, _notes[notes].seen["bundles"]))) == 2


def test_a_dofn_is_torn_down_when_the_pipeline_is_cancelled(notes: str) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        events = pipeline | stream([1])
        _ = events | beam.ParDo(Living(notes))
        _ = events | "Wait" >> beam.ParDo(Wait(notes))

    result = start(build)
    assert _notes[notes].entered.wait(WAIT_SECONDS)
    cancelling = threading.Thread(target=result.cancel)
    cancelling.start()
    _notes[notes].opened.set()
    cancelling.join(WAIT_SECONDS)
    assert result.state == PipelineState.CANCELLED
    assert _notes[notes].seen["life"] == ["setup", "teardown"]


def test_elements_wait_for_a_side_input_that_comes_late(notes: str) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        events = pipeline | (
            TestStream(output_tags={"main", "side"})
            .add_elements(["early"], tag="main")
            .advance_watermark_to_infinity(tag="main")
            .add_elements([7], tag="side")
            .advance_watermark_to_infinity(tag="side")
        )
        _ = (
            events["main"]
            | beam.Map(lambda element, side: (element, side), AsSingleton(events["side"]))
            | "Write" >> beam.ParDo(Write(notes))
        )

    run(build)
    assert written(notes) == [("early", 7)]


def test_each_window_gets_its_own_side_input(notes: str) -> None:
    def windowed(values: beam.PCollection, label: str) -> beam.PCollection:
        return values | label >> beam.WindowInto(window.FixedWindows(10))

    def at(*moments: int) -> list[window.TimestampedValue]:
        return [window.TimestampedValue(moment, moment) for moment in moments]

    def build(pipeline: beam.Pipeline) -> None:
        events = pipeline | (
            TestStream(output_tags={"main", "side"})
            .add_elements(at(1, 11), tag="main")
            .add_elements(at(2), tag="side")
            .advance_watermark_to(10, tag="side")
            .add_elements(at(12, 13), tag="side")
            .advance_watermark_to_infinity(tag="side")
            .advance_watermark_to_infinity(tag="main")
        )
        side = windowed(events["side"], "SideWindows")
        _ = (
            windowed(events["main"], "MainWindows")
            | beam.Map(lambda element, values: (element, sorted(values)), AsList(side))
            | "Write" >> beam.ParDo(Write(notes))
        )

    run(build)
    assert sorted(written(notes)) == [(1, [2]), (11, [12, 13])]


def test_a_reshuffle_keeps_nothing_of_any_key(notes: str) -> None:
    result = run(
        lambda p: (
            p
            | stream(*([(uuid.uuid4().hex, number)] for number in range(20)))
            | beam.Reshuffle()
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert sorted(number for _, number in written(notes)) == list(range(20))
    assert kept_keys(result) == {}


def test_a_batch_is_flushed_when_it_is_full_and_when_its_time_is_over(notes: str) -> None:
    run(
        lambda p: (
            p
            | TestStream()
            .advance_processing_time(1)
            .add_elements(keyed("a", "1", "2", "3"))
            .advance_processing_time(5)
            .add_elements(keyed("a", "4"))
            .advance_processing_time(20)
            .add_elements(keyed("a", "5"))
            .advance_watermark_to_infinity()
            | beam.GroupIntoBatches(2, max_buffering_duration_secs=10)
            | beam.MapTuple(lambda _, values: sorted(values))
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert written(notes) == [["1", "2"], ["3", "4"], ["5"]]


def test_what_a_timer_gives_is_not_late_downstream(notes: str) -> None:
    """The watermark runs to its end, and with it over the windows of what is still buffered."""
    run(
        lambda p: (
            p
            | stream([window.TimestampedValue(("a", "x"), 1)])
            | beam.ParDo(Buffer(notes, failures=0))
            | beam.WindowInto(window.FixedWindows(5))
            | beam.Map(lambda values: ("all", tuple(values)))
            | beam.GroupByKey()
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert [(key, list(values)) for key, values in written(notes)] == [("all", [("x",)])]


class NoteIds(Noting):
    def process(self, element: tuple[str, tuple[Any, str]]) -> Iterable[Any]:
        _, (row, insert_id) = element
        self.notes.seen["ids"].append((row, insert_id))
        yield element


def with_ids(rows: beam.PCollection, label: str, notes: str) -> beam.PCollection:
    return (
        rows
        | f"{label}Destination" >> beam.Map(lambda row: ("dataset.table", row))
        | f"{label}Ids" >> beam.ParDo(_StreamToBigQuery.InsertIdPrefixFn())
        | f"{label}Note" >> beam.ParDo(NoteIds(notes))
    )


def test_a_turn_that_is_tried_again_has_the_same_insert_ids(notes: str) -> None:
    run(
        lambda p: with_ids(p | stream(["a", "b"]), "Write", notes) | beam.ParDo(FailFirst(notes, 2))
    )
    ids = _notes[notes].seen["ids"]
    assert len(ids) > 2
    assert len({insert_id for row, insert_id in ids if row == "a"}) == 1
    assert len({insert_id for _, insert_id in ids}) == 2


def test_no_two_rows_have_the_same_insert_id(notes: str) -> None:
    """Those of two sinks may go to the same table, which would drop the second."""

    def build(pipeline: beam.Pipeline) -> None:
        rows = pipeline | stream(["a", "b"], ["c"])
        with_ids(rows, "One", notes)
        with_ids(rows | beam.Map(str.upper), "Other", notes)

    run(build)
    ids = dict(_notes[notes].seen["ids"])
    assert set(ids) == set("abcABC")
    assert len(set(ids.values())) == len(ids)


class Identified(dict[str, object]):
    insert_id = "its own"


def test_a_row_that_knows_its_insert_id_keeps_it(notes: str) -> None:
    run(lambda p: with_ids(p | stream([0]) | beam.Map(lambda _: Identified()), "Write", notes))
    assert [insert_id for _, insert_id in _notes[notes].seen["ids"]] == ["its own"]


def test_waiting_has_an_end(notes: str) -> None:
    result = start(lambda p: p | stream([1]) | beam.ParDo(Wait(notes)))
    assert _notes[notes].entered.wait(WAIT_SECONDS)
    assert result.wait_until_finish(10) == PipelineState.RUNNING
    assert result.state == PipelineState.RUNNING
    _notes[notes].opened.set()
    assert result.wait_until_finish(WAIT_MILLISECONDS) == PipelineState.DONE


def test_waiting_for_another_attempt_takes_no_time_of_the_processor(
    notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []
    wait = Control.wait

    def counted(control: Control, timeout: float | None) -> None:
        waits.append(timeout)
        wait(control, timeout)

    monkeypatch.setattr(Control, "wait", counted)
    result = start(
        lambda p: (
            p
            | beam.Create([("a", b"1")])
            | beam.ParDo(RingLater(notes)).with_input_types(tuple[str, bytes])
        )
    )
    with pytest.raises(ValueError, match="nobody answers"):
        result.wait_until_finish(WAIT_MILLISECONDS)
    assert len(_notes[notes].seen["rung"]) == 4
    assert len(waits) < 40


def test_a_pipeline_leaves_no_thread(notes: str) -> None:
    before = set(threading.enumerate())
    result = run(lambda p: p | stream([1]) | beam.ParDo(Write(notes)))
    result.cancel()
    result._executor._thread.join(WAIT_SECONDS)
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in left if name == "streaming-runner"]


def test_a_window_that_is_over_keeps_nothing_of_any_key(notes: str) -> None:
    result = run(
        lambda p: (
            p
            | stream(*([(uuid.uuid4().hex, number)] for number in range(20)))
            | beam.WindowInto(window.FixedWindows(10))
            | beam.GroupByKey()
            | "Write" >> beam.ParDo(Write(notes))
        )
    )
    assert len(written(notes)) == 20
    assert kept_keys(result) == {}
    for watermarks in result._executor._ledger._watermarks.values():
        assert not watermarks._keyed_earliest_holds
