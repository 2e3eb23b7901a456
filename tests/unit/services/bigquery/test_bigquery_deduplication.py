from tf_dataflow_serving.services.bigquery.deduplication import WINDOW_SECONDS, InsertIdWindow


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_known_for_the_window() -> None:
    clock = Clock()
    window = InsertIdWindow(clock)
    window.remember(["a"])
    clock.now = WINDOW_SECONDS
    assert "a" in window
    assert "b" not in window
    clock.now += 0.1
    assert "a" not in window


def test_a_repetition_does_not_extend_the_window() -> None:
    clock = Clock()
    window = InsertIdWindow(clock)
    window.remember(["a"])
    clock.now = WINDOW_SECONDS / 2
    window.remember(["a"])
    clock.now = WINDOW_SECONDS + 0.1
    assert "a" not in window


def test_memory_is_given_back() -> None:
    clock = Clock()
    window = InsertIdWindow(clock)
    window.remember(range(1000))
    assert len(window) == 1000
    clock.now = WINDOW_SECONDS + 1
    assert len(window) == 0
