"""The result of a pipeline that runs on this machine, which can be drained."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from apache_beam.runners.direct.direct_runner import DirectPipelineResult
from apache_beam.runners.runner import PipelineState

from tf_dataflow_serving.runners.streaming.executor import StreamingExecutor

MILLISECOND = 1e-3


class StreamingResult(DirectPipelineResult):  # type: ignore[misc] # Beam has no types
    """Stands in for Beam's DirectPipelineResult; `state` is what it is, waited for or not."""

    _executor: StreamingExecutor
    _state: Any

    def __del__(self) -> None:
        """Warn, as Beam does, of a pipeline that is still running."""
        if not PipelineState.is_terminal(self.state):
            super().__del__()

    @property
    def state(self) -> Any:
        """Return the pipeline's state."""
        if self._state == PipelineState.RUNNING and self._executor.is_finished:
            self._state = PipelineState.FAILED if self._executor.error else PipelineState.DONE
        return self._state

    @property
    def error(self) -> BaseException | None:
        """What the pipeline failed with."""
        return self._executor.error

    @property
    def failed_bundles(self) -> int:
        """How often a bundle failed, and was tried again."""
        return self._executor.failures.total

    def wait_until_finish(self, duration: float | None = None) -> Any:
        """Wait for the end, for `duration` milliseconds at most, and return the state.

        Meanwhile Ctrl-C and SIGTERM drain the pipeline; a second one cancels it, and raises
        KeyboardInterrupt. Raises what the pipeline failed with.
        """
        if not PipelineState.is_terminal(self.state):
            try:
                with _draining_signals(self):
                    self._executor.wait(None if duration is None else duration * MILLISECOND)
            except KeyboardInterrupt:
                self.cancel()
                raise
        if self.state == PipelineState.FAILED and self._executor.error is not None:
            raise self._executor.error
        return self.state

    @property
    def is_draining(self) -> bool:
        """Whether it was asked to drain."""
        return self._executor.is_draining

    def drain(self) -> None:
        """Read no more, let everything flow to its end, then be done; returns at once."""
        self._executor.drain()

    def cancel(self) -> Any:
        """End now, and give back what is not acknowledged; a step that hangs is left behind."""
        if not PipelineState.is_terminal(self.state):
            self._state = PipelineState.CANCELLING
            self._executor.shutdown()
            self._state = PipelineState.CANCELLED
        return self._state


@contextmanager
def _draining_signals(result: StreamingResult) -> Iterator[None]:
    """Drain at the first SIGINT or SIGTERM, interrupt at the second; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if result.is_draining:
            raise KeyboardInterrupt
        result.drain()

    previous = {
        number: signal.signal(number, on_signal)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
