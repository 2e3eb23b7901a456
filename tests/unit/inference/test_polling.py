from tf_dataflow_serving.inference.polling import Polling


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def polling(self) -> Polling:
        return Polling(self.clock, self.sleep)


def test_asks_at_once_and_then_at_growing_intervals():
    time = Time()
    answers = time.polling().answers(lambda: time.now, 1_000)
    assert next(answers) == 100.0
    assert time.naps == []
    for _ in range(30):
        next(answers)
    assert time.naps == sorted(time.naps)
    assert (time.naps[0], time.naps[-1]) == (0.05, 5.0)


def test_ends_before_the_time_is_over():
    time = Time()
    asked = list(time.polling().answers(lambda: time.now, 60))
    assert 155 < asked[-1] <= 160


def test_asks_once_where_there_is_no_time():
    assert list(Time().polling().answers(lambda: "answer", 0)) == ["answer"]
