"""Errors of steps: each said once, and how often it came."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tf_dataflow_serving.runners.streaming.turn import StepFailed

_LOGGER = logging.getLogger(__name__)
# Logs every exception of a DoFn with its traceback (DoFnRunner._reraise_augmented).
_BEAM_LOGGER = logging.getLogger("apache_beam.runners.common")


class _Kind(NamedTuple):
    step: str
    error: str
    place: str


class Failures:
    """Reports what goes wrong in one pipeline."""

    def __init__(self) -> None:
        self._counts: Counter[_Kind] = Counter()

    @property
    def total(self) -> int:
        """How often any step has failed."""
        return self._counts.total()

    def report(self, failed: StepFailed) -> None:
        """Show an error if it is new, its traceback at level INFO; count it if it is not."""
        error = failed.__cause__ or failed
        kind = _Kind(failed.step.name, type(error).__name__, _place(error))
        self._counts[kind] += 1
        if self._counts[kind] == 1:
            _LOGGER.error(
                "%s failed, and is tried again: %s: %s (%s)",
                kind.step,
                kind.error,
                error,
                kind.place,
            )
            _LOGGER.info("where %s failed", kind.step, exc_info=error)

    def summarize(self) -> None:
        """Say how often each error came in all."""
        for kind, count in self._counts.items():
            times = "once" if count == 1 else f"{count:,} times"
            _LOGGER.error("%s failed %s: %s (%s)", kind.step, times, kind.error, kind.place)


@contextmanager
def beam_silenced() -> Iterator[None]:
    """Keep Beam from logging what this thread's DoFns raise: `Failures` does that."""
    thread = threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.exc_info is None

    _BEAM_LOGGER.addFilter(is_of_others)
    try:
        yield
    finally:
        _BEAM_LOGGER.removeFilter(is_of_others)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
