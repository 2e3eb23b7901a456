"""A subscription whose messages stay leased until they are settled."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.runners.leased.connection import Connection, Proto
from tf_dataflow_serving.runners.leased.leases import (
    DEFAULT_TERMS,
    REMEMBERED_LABELS_SECONDS,
    REMEMBERED_SECONDS,
    Leased,
    Leases,
    Terms,
    lease,
)
from tf_dataflow_serving.runners.leased.outbox import Outbox
from tf_dataflow_serving.runners.leased.pulling import Puller

MAX_TAKEN = 1_000
STOP_GRACE_SECONDS = 1.0
_ROOM_SECONDS = 60.0
_JOIN_SHARE = 0.1


class SubscriptionFailed(UserError):
    """A subscription cannot be pulled from, now or later."""


class LeasedSubscription:
    """Pulls in the background and extends leases until it is told what becomes of a message.

    `on_messages` is called, by another thread, whenever there is something to take, or pulling
    has failed for good. Messages with the same value of the attribute `id_label` are one within
    10 minutes; deliveries of the same message within one minute. All methods may be called by
    any thread. `clock` is in seconds.
    """

    def __init__(
        self,
        path: str,
        on_messages: Callable[[], None],
        id_label: str | None = None,
        terms: Terms = DEFAULT_TERMS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._on_messages = on_messages
        self._id_label = id_label
        self._clock = clock
        self._leases = Leases(terms, REMEMBERED_LABELS_SECONDS if id_label else REMEMBERED_SECONDS)
        self._changed = threading.Condition()
        self._failure: Exception | None = None
        self._stopped = False
        self._connection = Connection(path)
        self._outbox = Outbox(self._connection, terms, self._ack_ids, clock)
        self._puller = Puller(
            self._connection, terms, self._receive, self._wait_for_room, self._fail
        )

    @property
    def waiting(self) -> int:
        """The number of messages that were received and not taken."""
        return self._leases.waiting

    @property
    def is_full(self) -> bool:
        """Whether as many messages, or bytes, are leased as may be."""
        return self._leases.is_full

    @property
    def is_disturbed(self) -> bool:
        """Whether messages may be there that cannot be received for now."""
        return self._puller.is_disturbed

    def take(self, most: int = MAX_TAKEN) -> Sequence[Leased]:
        """Return, without waiting, the messages that came first.

        Raises SubscriptionFailed if no more will ever come.
        """
        with self._changed:
            if self._failure is not None:
                raise SubscriptionFailed(
                    f"{self._path} cannot be pulled from: {self._failure}"
                ) from self._failure
            return self._leases.take(most)

    def acknowledge(self, messages: Iterable[Leased]) -> None:
        """Settle messages for good; those that are settled already are left alone."""
        with self._changed:
            ack_ids = self._leases.acknowledge(messages, self._clock())
            self._changed.notify_all()
        self._outbox.acknowledge(ack_ids)

    def give_back(self, messages: Iterable[Leased], after: float = 0.0) -> None:
        """Have messages delivered again after so many seconds, at most 600."""
        with self._changed:
            ack_ids = self._leases.give_back(messages)
            self._changed.notify_all()
        self._outbox.give_back(ack_ids, after)

    def settle(self, timeout: float) -> bool:
        """Tell whether, within so many seconds, nothing that was settled is left to send."""
        return self._outbox.settle(timeout)

    def stop(self, grace: float = STOP_GRACE_SECONDS) -> None:
        """Stop pulling and give back what nobody took; what was taken stays leased.

        What is on its way is awaited for `grace` seconds, so that it need not wait for the
        end of its lease to be delivered to others.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        # First: what was given back would come again on a stream that is still open.
        self._puller.stop(grace)
        with self._changed:
            ack_ids = self._leases.give_back_waiting()
        self._outbox.give_back(ack_ids, 0)

    def close(self, timeout: float) -> None:
        """Give back all that is not settled and end, within so many seconds; idempotent.

        What the service did not take by then is said in the log.
        """
        end = time.monotonic() + timeout
        self.stop(min(STOP_GRACE_SECONDS, timeout / 2))
        with self._changed:
            ack_ids = self._leases.give_back_all()
        self._outbox.give_back(ack_ids, 0)
        self._outbox.close(max(0.0, end - time.monotonic() - timeout * _JOIN_SHARE))
        self._connection.close()
        for thread in (self._outbox, self._puller):
            thread.join(max(0.0, end - time.monotonic()))

    def _ack_ids(self) -> Sequence[str]:
        with self._changed:
            return self._leases.ack_ids()

    def _receive(self, received: Sequence[Proto]) -> None:
        messages = lease(received, self._id_label)
        with self._changed:
            admitted = self._leases.admit(messages, self._clock())
        self._outbox.acknowledge(admitted.known)
        if admitted.new:
            self._on_messages()

    def _wait_for_room(self) -> None:
        with self._changed:
            while not self._changed.wait_for(self._has_room, _ROOM_SECONDS):
                pass

    def _has_room(self) -> bool:
        return self._stopped or not self._leases.is_full

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
        self._on_messages()
