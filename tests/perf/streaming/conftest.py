"""Fresh services for each stream that is measured, and a place for its table."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from .bench import Bench

NewBench = Callable[[], AbstractContextManager[Bench]]


@pytest.fixture
def new_bench(tmp_path_factory: pytest.TempPathFactory) -> NewBench:
    """Starts services, as often as it is called."""
    return lambda: Bench.start(tmp_path_factory.mktemp("stream"))


@pytest.fixture
def bench(new_bench: NewBench) -> Iterator[Bench]:
    with new_bench() as running:
        yield running


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints past pytest's capture: what a benchmark found is for whoever ran it."""

    def now(text: str) -> None:
        with ExitStack() as stack:
            stack.enter_context(capsys.disabled())
            print(text)  # noqa: T201

    return now
