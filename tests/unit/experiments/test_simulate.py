"""The rate of the simulated stream, on a clock that the test moves."""

from datetime import UTC, datetime, timedelta

import pytest

from tf_dataflow_serving.experiments.simulate import Clock, Load, due_times


class Time:
    """Passes only by sleeping, and by what each step is said to take."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def clock(self) -> Clock:
        start = datetime(2005, 1, 1, tzinfo=UTC)
        return Clock(
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            now=lambda: start + timedelta(seconds=self.seconds),
        )


@pytest.mark.parametrize("work", [0.0, 0.004, 0.0099])
def test_work_between_messages_does_not_make_them_drift(work: float) -> None:
    time = Time()
    lateness = []
    for _ in due_times(Load(1_000, 100.0, seed=1), time.clock()):
        time.seconds += work
        lateness.append(time.seconds)
    assert lateness[-1] == pytest.approx(100.0 + 999 / 100.0 + work)


def test_a_hiccup_is_caught_up_with() -> None:
    time = Time()
    moments = []
    for index, _ in enumerate(due_times(Load(100, 10.0, seed=1), time.clock())):
        time.seconds += 3.0 if index == 10 else 0.0
        moments.append(time.seconds)
    assert moments[-1] == pytest.approx(100.0 + 99 / 10.0)
    assert 0.0 in time.slept
