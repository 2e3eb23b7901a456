"""A subscription whose messages stay leased until what was made of them is written."""

import logging
import queue
import threading
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message
from google.cloud.pubsub_v1.types import FlowControl

_LOGGER = logging.getLogger(__name__)

MAX_LEASED_MESSAGES = 10_000
MAX_LEASED_BYTES = 256 * 1024 * 1024
MAX_BUNDLE = 1_000
CLOSE_TIMEOUT_SECONDS = 10.0
RPC_TIMEOUT_SECONDS = 10.0


@dataclass(eq=False)
class _Delivered:
    """Messages of one bundle, and the timers that were set when all of it had been processed.

    A stateful step sets a timer to let go of what it holds: while one of these is still set,
    something of the bundle may be in that step's state. None: still being processed.
    """

    messages: Sequence[Message]
    timers: frozenset[Hashable] | None = None


class LeasedSubscription:
    """Pulls in the background, extends leases, acknowledges when it is told what is written."""

    def __init__(self, subscription: str) -> None:
        self._received: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._delivered: list[_Delivered] = []
        self._changed = threading.Condition()
        self._subscription = subscription
        self._client = pubsub_v1.SubscriberClient()
        self._pull = self._client.subscribe(
            subscription,
            callback=self._received.put,
            flow_control=FlowControl(max_messages=MAX_LEASED_MESSAGES, max_bytes=MAX_LEASED_BYTES),
        )

    def take(self, wait: float) -> Sequence[Message]:
        """Return the next bundle's messages, none if none come within `wait` seconds.

        Raises what ended the background pull, such as NotFound, if anything did.
        """
        if self._pull.done():
            self._pull.result(timeout=0)
        messages = list(_drain(self._received, wait))
        if messages:
            with self._changed:
                self._delivered.append(_Delivered(messages))
        return messages

    def settle(self, timers: frozenset[Hashable]) -> None:
        """Acknowledge what is written, given that no bundle is being processed.

        `timers` are those that are set now, each with the time at which it will fire.
        """
        with self._changed:
            for delivered in self._delivered:
                if delivered.timers is None:
                    delivered.timers = timers
            written = [one for one in self._delivered if not (one.timers or frozenset()) & timers]
            for one in written:
                self._acknowledge(one.messages)
                self._delivered.remove(one)
            self._changed.notify_all()

    def wait_until_settled(self, timeout: float) -> bool:
        """Return whether, within `timeout` seconds, all that was taken is acknowledged."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._delivered, timeout)

    def close(self) -> None:
        """Stop pulling and give back every message that is not acknowledged."""
        self._pull.cancel()
        try:
            # What ended it by itself, if anything did, has been raised by `take`.
            self._pull.exception(timeout=CLOSE_TIMEOUT_SECONDS)
            for one in self._delivered:
                self._give_back(one.messages)
            while left := list(_drain(self._received, 0)):
                self._give_back(left)
        except (GoogleAPICallError, TimeoutError) as error:
            _LOGGER.warning("messages come back once their leases expire: %r", error)
        finally:
            self._client.close()

    # The messages' own ack and nack only queue a request, which a closing client may drop.

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self._client.acknowledge(
            subscription=self._subscription,
            ack_ids=[message.ack_id for message in messages],
            timeout=RPC_TIMEOUT_SECONDS,
        )
        for message in messages:
            message.drop()

    def _give_back(self, messages: Sequence[Message]) -> None:
        self._client.modify_ack_deadline(
            subscription=self._subscription,
            ack_ids=[message.ack_id for message in messages],
            ack_deadline_seconds=0,
            timeout=RPC_TIMEOUT_SECONDS,
        )


def _drain(received: "queue.SimpleQueue[Message]", wait: float) -> Iterable[Message]:
    """Yield what is there, up to a bundle; waits for the first only."""
    try:
        yield received.get(timeout=wait) if wait else received.get_nowait()
        for _ in range(MAX_BUNDLE - 1):
            yield received.get_nowait()
    except queue.Empty:
        return
