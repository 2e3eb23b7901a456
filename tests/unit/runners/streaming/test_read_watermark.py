"""The estimate of a read's watermark, by a clock that is set by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.runners.streaming.watermark import (
    MICROS,
    SAMPLE_SECONDS,
    TRANSIT_SECONDS,
    ReadWatermark,
)

DAY = 86_400
START = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def micros(seconds: float) -> int:
    return int(seconds * MICROS)


def test_at_first_nothing_can_be_said() -> None:
    assert ReadWatermark(Clock()).current(None) is None


def test_a_read_that_stays_empty_keeps_up_with_the_present() -> None:
    clock = Clock()
    watermark = ReadWatermark(clock)
    clock.now += SAMPLE_SECONDS
    assert watermark.current(None) == micros(clock.now - TRANSIT_SECONDS)


def test_a_backlog_holds_it_at_its_oldest_message() -> None:
    watermark = ReadWatermark(Clock())
    watermark.record([micros(START - DAY), micros(START - DAY + 5)])
    assert watermark.current(None) == micros(START - DAY)


def test_what_is_not_processed_holds_it_however_long_that_takes() -> None:
    clock = Clock()
    watermark = ReadWatermark(clock)
    old = micros(START - DAY)
    watermark.record([old])
    clock.now += 10 * SAMPLE_SECONDS
    assert watermark.current(old) == old


def test_it_never_goes_back() -> None:
    clock = Clock()
    watermark = ReadWatermark(clock)
    clock.now += SAMPLE_SECONDS
    before = watermark.current(None)
    watermark.record([micros(START - DAY)])
    assert watermark.current(None) == before


def test_it_gets_to_a_moment_when_it_says_so() -> None:
    clock = Clock()
    watermark = ReadWatermark(clock)
    watermark.record([micros(START)])
    end_of_window = micros(START + 60)
    clock.now = watermark.passes(end_of_window)
    assert watermark.current(None) == end_of_window


ARRIVALS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.lists(st.integers(-DAY, 0), max_size=3)), max_size=20
)


@settings(max_examples=100, deadline=None)
@given(ARRIVALS)
def test_it_only_grows_and_never_passes_the_present(
    arrivals: list[tuple[float, list[int]]],
) -> None:
    clock = Clock()
    watermark = ReadWatermark(clock)
    before = -1
    for pause, ages in arrivals:
        clock.now += pause
        if ages:
            watermark.record([micros(clock.now + age) for age in ages])
        now = watermark.current(None)
        if now is not None:
            assert before <= now <= micros(clock.now)
            before = now
