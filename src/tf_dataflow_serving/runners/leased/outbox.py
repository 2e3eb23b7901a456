"""The thread that settles and extends leases."""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tf_dataflow_serving.runners.leased.connection import CallFailed, Connection
from tf_dataflow_serving.runners.leased.leases import Terms

_LOGGER = logging.getLogger(__name__)

REQUEST_ACK_IDS = 1_000
REQUEST_BYTES = 480 * 1024
"""Source: cloud.google.com/pubsub/quotas, "Resource limits": 512 KiB an acknowledge request."""

LONGEST_LEASE_SECONDS = 600
"""Source: google/pubsub/v1/pubsub.proto, `ModifyAckDeadlineRequest.ack_deadline_seconds`."""

LINGER_SECONDS = 0.02
"""What is settled within this time goes in one request."""

PAUSE_SECONDS = 0.5
IDLE_SECONDS = 60.0
_BYTES_BESIDE_ACK_ID = 4


class Settlement(NamedTuple):
    """One request about leases.

    `seconds` are those after which they end, None acknowledges; after `until`, by the clock, it
    is not worth trying.
    """

    seconds: int | None
    ack_ids: Sequence[str]
    until: float


class Outbox:
    """Sends what is settled in the background, and extends all other leases in time.

    One thread does both: an extension must not overtake what gives a message back. `leased`
    returns the ack IDs of what is to be extended.
    """

    def __init__(
        self,
        connection: Connection,
        terms: Terms,
        leased: Callable[[], Sequence[str]],
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._terms = terms
        self._leased = leased
        self._clock = clock
        self._extend_at = clock() + terms.extend_every_seconds
        self._changed = threading.Condition()
        self._queued: dict[int | None, list[str]] = {}
        self._unsent = 0
        self._error: CallFailed | None = None
        self._hurried = False
        self._closing = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="pubsub-settle", daemon=True)
        self._thread.start()

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Acknowledge, soon."""
        self._queue(None, ack_ids)

    def give_back(self, ack_ids: Sequence[str], after: float) -> None:
        """Have them delivered again after so many seconds; the service knows whole ones only."""
        self._queue(min(math.ceil(after), LONGEST_LEASE_SECONDS), ack_ids)

    def settle(self, timeout: float) -> bool:
        """Send all at once; tell whether nothing was left to send within so many seconds."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._unsent, timeout)

    def close(self, timeout: float) -> None:
        """Send what there is; what does not get through in time is given up.

        The thread ends when the call that it makes does.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._unsent, timeout)
            self._abandoned = True
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait until the thread has ended."""
        self._thread.join(timeout)

    def _queue(self, seconds: int | None, ack_ids: Sequence[str]) -> None:
        if not ack_ids:
            return
        with self._changed:
            self._queued.setdefault(seconds, []).extend(ack_ids)
            self._unsent += len(ack_ids)
            self._changed.notify_all()

    def _run(self) -> None:
        unsent: list[Settlement] = []
        while not self._is_over(unsent):
            self._extend_if_due()
            unsent = self._send([*unsent, *self._collect()])
            self._wait(unsent)
        self._give_up([*unsent, *self._collect()])

    def _is_over(self, unsent: Sequence[Settlement]) -> bool:
        with self._changed:
            return self._abandoned or (self._closing and not self._queued and not unsent)

    def _wait(self, unsent: Sequence[Settlement]) -> None:
        """Wait until there is something to do: to try again, to extend, or what was queued."""
        with self._changed:
            if unsent:
                self._changed.wait_for(lambda: self._abandoned, PAUSE_SECONDS)
                return
            extension = max(0.0, min(self._extend_at - self._clock(), IDLE_SECONDS))
            if self._changed.wait_for(lambda: self._queued or self._closing, extension):
                self._changed.wait_for(self._is_hurried, LINGER_SECONDS)

    def _is_hurried(self) -> bool:
        return self._hurried or self._closing

    def _collect(self) -> list[Settlement]:
        with self._changed:
            queued, self._queued = self._queued, {}
            self._hurried = False
        until = self._clock() + self._terms.lease_seconds
        return [
            Settlement(seconds, ack_ids, until)
            for seconds, all_ids in queued.items()
            for ack_ids in requests(all_ids)
        ]

    def _send(self, settlements: Iterable[Settlement]) -> list[Settlement]:
        """Return those that are to be tried again."""
        again: list[Settlement] = []
        lost: list[Settlement] = []
        for one in settlements:
            error = self._try(one)
            if error is None:
                self._count_down(one)
            else:
                self._error = error
                (again if self._is_worth_trying(one, error) else lost).append(one)
        self._give_up(lost)
        return again

    def _try(self, one: Settlement) -> CallFailed | None:
        try:
            if one.seconds is None:
                self._connection.acknowledge(one.ack_ids)
            else:
                self._connection.modify_ack_deadline(one.ack_ids, one.seconds)
        except CallFailed as error:
            return error
        return None

    def _is_worth_trying(self, one: Settlement, error: CallFailed) -> bool:
        """What is given back at the end comes back without it too, a little later."""
        spared = self._closing and one.seconds is not None
        return not (spared or error.is_final or self._clock() >= one.until)

    def _give_up(self, lost: Sequence[Settlement]) -> None:
        if lost:
            _LOGGER.warning(
                "%d messages could not be acknowledged or given back, they may come again: %s",
                sum(len(one.ack_ids) for one in lost),
                self._error,
            )
        for one in lost:
            self._count_down(one)

    def _count_down(self, one: Settlement) -> None:
        with self._changed:
            self._unsent -= len(one.ack_ids)
            self._changed.notify_all()

    def _extend_if_due(self) -> None:
        if self._clock() < self._extend_at:
            return
        pauses = [self._extend(ack_ids) for ack_ids in requests(self._leased())]
        self._extend_at = self._clock() + min(pauses, default=self._terms.extend_every_seconds)

    def _extend(self, ack_ids: Sequence[str]) -> float:
        """Extend leases; return after how many seconds they need it again."""
        try:
            self._connection.modify_ack_deadline(ack_ids, self._terms.lease_seconds)
        except CallFailed as error:
            _LOGGER.debug("%d leases could not be extended: %s", len(ack_ids), error)
            if not error.is_final:
                return min(PAUSE_SECONDS, self._terms.extend_every_seconds)
        return self._terms.extend_every_seconds


def requests(ack_ids: Iterable[str]) -> Iterator[list[str]]:
    """Divide ack IDs into as many as one request may have."""
    request: list[str] = []
    size = 0
    for ack_id in ack_ids:
        bytes_more = len(ack_id) + _BYTES_BESIDE_ACK_ID
        if len(request) == REQUEST_ACK_IDS or (request and size + bytes_more > REQUEST_BYTES):
            yield request
            request, size = [], 0
        request.append(ack_id)
        size += bytes_more
    if request:
        yield request
