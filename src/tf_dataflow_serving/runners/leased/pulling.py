"""The thread that keeps a streaming pull open."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from tf_dataflow_serving.runners.leased.connection import CallFailed, Connection, Proto, Stream
from tf_dataflow_serving.runners.leased.leases import Terms

_LOGGER = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
SILENCE_SECONDS = 10.0


class Puller:
    """Hands on what comes, and opens the stream again whenever it breaks.

    Before each response it calls `wait_for_room`: a stream that is not read holds the service
    up, whatever it thinks of limits. `fail` is called if there is no use in trying again.
    """

    def __init__(
        self,
        connection: Connection,
        terms: Terms,
        receive: Callable[[Sequence[Proto]], None],
        wait_for_room: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._connection = connection
        self._terms = terms
        self._receive = receive
        self._wait_for_room = wait_for_room
        self._fail = fail
        self._outage = _Outage()
        self._opening = threading.Lock()
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._failed_at: float | None = None
        self._unanswered_since: float | None = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="pubsub-pull", daemon=True)
        self._thread.start()

    @property
    def is_disturbed(self) -> bool:
        """Whether pulling has failed lately, or the service has not answered yet.

        Not all services answer before there are messages: in the end, silence means none.
        """
        now = time.monotonic()
        failed_at, opened_at = self._failed_at, self._unanswered_since
        if failed_at is not None and now < failed_at + 2 * LONGEST_PAUSE_SECONDS:
            return True
        return opened_at is not None and now < opened_at + SILENCE_SECONDS

    def stop(self, grace: float) -> None:
        """Receive what is on its way, for so many seconds at most, and then nothing more."""
        with self._opening:
            self._stopping.set()
        if self._stream is not None:
            self._stream.finish()
        self._thread.join(grace)
        if self._stream is not None and self._thread.is_alive():
            self._stream.cancel()

    def join(self, timeout: float) -> None:
        """Wait until the thread has ended."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._pull()
                self._stopping.wait(self._outage.pause())
        except Exception as error:
            self._fail(error)

    def _pull(self) -> None:
        """Receive until the stream ends; raises CallFailed if it cannot be opened again."""
        try:
            for response in self._responses():
                self._outage.end()
                self._unanswered_since = None
                if response.received_messages:
                    self._receive(response.received_messages)
                self._wait_for_room()
        except CallFailed as error:
            if error.is_final:
                raise
            if not self._stopping.is_set():
                self._failed_at = time.monotonic()
                self._outage.begin(error)

    def _responses(self) -> Iterator[Proto]:
        terms = self._terms
        with self._opening:
            if self._stopping.is_set():
                return
            self._unanswered_since = time.monotonic()
            self._stream = self._connection.stream(terms.lease_seconds, terms.messages, terms.bytes)
        with closing(self._stream.responses()) as responses:
            yield from responses


class _Outage:
    """Counts vain attempts, and says once that the service is away, once that it is back.

    A stream that ends is no outage, the service ends each after some time; one that
    does not answer at all is.
    """

    def __init__(self) -> None:
        self._attempts = 0
        self._told = False
        self._answered = False

    def begin(self, error: CallFailed) -> None:
        if self._answered:
            self._answered = False
        elif not self._told:
            self._told = True
            _LOGGER.warning("Pub/Sub does not answer, it is tried again until it does: %s", error)

    def end(self) -> None:
        self._attempts = 0
        self._answered = True
        if self._told:
            self._told = False
            _LOGGER.warning("Pub/Sub answers again")

    def pause(self) -> float:
        """Return how long to wait before the next attempt, in seconds."""
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(self._attempts, 10)
        self._attempts += 1
        return min(pause, LONGEST_PAUSE_SECONDS)
