"""Steps of pipelines in the test's own process, whose DoFns Beam copies: they go by name."""

import queue
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import sleep
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.utils.timestamp import Timestamp

TIMEOUT = 30.0
_POLL_SECONDS = 0.02

_known: dict[str, Any] = {}


def poll(is_so: Callable[[], bool]) -> bool:
    """Ask until it is so, as nobody announces it; returns the last answer."""
    for _ in range(int(TIMEOUT / _POLL_SECONDS)):
        if is_so():
            return True
        sleep(_POLL_SECONDS)
    return is_so()


def remember(name: str, value: Any) -> None:
    _known[name] = value


def forget(name: str) -> None:
    del _known[name]


def known(name: str) -> Any:
    return _known[name]


@dataclass(frozen=True)
class Sink:
    """What a pipeline wrote, in order; `poisoned` elements are refused."""

    name: str
    written: "queue.SimpleQueue[Any]"

    def take(self, count: int) -> list[Any]:
        """Wait for so many elements."""
        return [self.written.get(timeout=TIMEOUT) for _ in range(count)]

    def rest(self) -> list[Any]:
        """Return what is there now."""
        return [self.written.get_nowait() for _ in range(self.written.qsize())]


class CannotTake(Exception):
    pass


class Write(beam.DoFn):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink.name

    def process(self, element: Any) -> None:
        known(self.sink).written.put(element)


class Refuse(beam.DoFn):
    """Passes on all but what is `poison`; counts in a sink what it refused."""

    def __init__(self, poison: bytes, refused: Sink) -> None:
        super().__init__()
        self.poison = poison
        self.refused = refused.name

    def process(self, element: bytes) -> Iterable[bytes]:
        if element == self.poison:
            known(self.refused).written.put(element)
            raise CannotTake(f"cannot take {element!r}")
        yield element


class RefuseFirst(beam.DoFn):
    """Raises so often, then passes everything on."""

    def __init__(self, times: int, refused: Sink) -> None:
        super().__init__()
        self.times = times
        self.refused = refused.name

    def process(self, element: Any) -> Iterable[Any]:
        refused = known(self.refused).written
        if refused.qsize() < self.times:
            refused.put(element)
            raise CannotTake(f"not yet: {element!r}")
        yield element


class Pass(beam.DoFn):
    """Waits at a gate, then passes everything on."""

    def __init__(self, gate: str) -> None:
        super().__init__()
        self.gate = gate

    def process(self, element: Any) -> Iterable[Any]:
        gate = known(self.gate)
        gate.entered.set()
        assert gate.opened.wait(TIMEOUT)
        yield element


class Debounce(beam.DoFn):
    """Gives on the last value of a key once it has been quiet for some seconds."""

    LAST = ReadModifyWriteStateSpec("last", BytesCoder())
    QUIET = TimerSpec("quiet", TimeDomain.REAL_TIME)

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def process(
        self,
        element: tuple[int, bytes],
        last: Any = beam.DoFn.StateParam(LAST),
        quiet: Any = beam.DoFn.TimerParam(QUIET),
    ) -> None:
        last.write(element[1])
        quiet.set(Timestamp.now() + self.seconds)

    @on_timer(QUIET)
    def flush(self, last: Any = beam.DoFn.StateParam(LAST)) -> Iterable[bytes]:
        yield last.read()
        last.clear()


class Count(beam.DoFn):
    """Numbers the elements of a key."""

    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())

    def process(
        self, element: tuple[int, bytes], seen: Any = beam.DoFn.StateParam(SEEN)
    ) -> Iterable[tuple[int, bytes]]:
        number = (seen.read() or 0) + 1
        seen.write(number)
        yield number, element[1]


def buffered(
    messages: beam.PCollection, label: str, size: int, seconds: float | None
) -> beam.PCollection:
    """Micro-batches of one key, taken apart again."""
    return (
        messages
        | f"{label}Key" >> beam.WithKeys(0).with_output_types(tuple[int, bytes])
        | label >> beam.GroupIntoBatches(size, max_buffering_duration_secs=seconds)
        | f"{label}Values" >> beam.FlatMap(lambda batch: batch[1])
    )
