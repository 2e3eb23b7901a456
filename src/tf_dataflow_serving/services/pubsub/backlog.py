"""What a subscription has still to deliver, and what it has delivered without an answer."""

import math

from tf_dataflow_serving.services.pubsub.consumer import Consumer
from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.filter import Filter
from tf_dataflow_serving.services.pubsub.log import Log, Reader
from tf_dataflow_serving.services.pubsub.timetable import Timetable
from tf_dataflow_serving.services.pubsub.waiting import Waiting

READS_PER_TURN = 10_000
"""Messages that one `take` passes at most: others must not wait for a long skip."""


class Backlog:
    """The unacknowledged messages of one subscription.

    A message is in one of three places: in the topic's log, not read yet; waiting, for its
    turn or since it came back; or out, held by a consumer under a lease.
    """

    def __init__(
        self, log: Log, leases: Timetable[Delivery], waiting: Waiting, accepts: Filter
    ) -> None:
        self._reader = Reader(log)
        self._leases = leases
        self._waiting = waiting
        self._accepts = accepts
        self._delivered: dict[int, Delivery] = {}
        self._consumers: dict[Consumer, None] = {}
        self._new_first = False
        self._reads_left = 0

    def attach(self, consumer: Consumer) -> None:
        """Wake this consumer from now on when messages are available."""
        self._consumers[consumer] = None

    def detach(self, consumer: Consumer) -> None:
        """Wake this consumer no more; its leases run on."""
        self._consumers.pop(consumer, None)

    def wake_consumers(self) -> None:
        """Wake all consumers; each time another one is first, so that all get their share."""
        for consumer in self._consumers:
            consumer.wake()
        if len(self._consumers) > 1:
            first = next(iter(self._consumers))
            del self._consumers[first]
            self._consumers[first] = None

    def take(self, consumer: Consumer, deadline: int, max_bytes: int) -> list[Delivery]:
        """Lease messages to a consumer until `deadline`, as many as it has room for.

        With several consumers each gets a fair share at a time. The sum of their encoded
        sizes stays within `max_bytes`, but a message that is larger comes alone.
        """
        taken: list[Delivery] = []
        bytes_left, share = max_bytes, self._share()
        self._waiting.begin_run()
        self._reads_left = READS_PER_TURN
        while len(taken) < share and consumer.has_room():
            delivery = self._next()
            if delivery is None:
                break
            bytes_left -= delivery.message.encoded_size
            if bytes_left < 0 and taken:
                self._hold_back(delivery)
                break
            self._lease(delivery, consumer, deadline)
            taken.append(delivery)
        if not self._reads_left:
            consumer.wake()
        return taken

    def acknowledge(self, sequence: int) -> None:
        """Forget a message that was delivered; one already acknowledged is no error."""
        delivery = self._delivered.pop(sequence, None)
        if delivery is None:
            return
        delivery.settled = True
        self._end_lease(delivery)
        if self._waiting.settle(delivery):
            self.wake_consumers()

    def extend(self, sequence: int, attempt: int, deadline: int) -> None:
        """Move the end of a lease; without effect if this attempt's lease has ended."""
        delivery = self._out(sequence, attempt)
        if delivery is not None:
            self._leases.set(delivery, deadline)

    def release(self, sequence: int, attempt: int) -> None:
        """Make a message available at once; without effect if the lease has ended."""
        delivery = self._out(sequence, attempt)
        if delivery is not None:
            self.expire(delivery)

    def expire(self, delivery: Delivery) -> None:
        """End a lease and make its message available; without effect if it has ended."""
        if delivery.holder is None:
            return
        self._end_lease(delivery)
        for void in self._waiting.put_back(delivery):
            self._end_lease(void)
        self.wake_consumers()

    def clear(self) -> None:
        """Drop all messages, end all leases and receive nothing from now on."""
        for delivery in self._delivered.values():
            delivery.settled = True
            self._end_lease(delivery)
        self._delivered.clear()
        # A reader that stood still would keep all that is published after it.
        self._reader = Reader(Log())
        self._waiting.clear()

    def _share(self) -> int:
        """Return an equal part, at least 1, of what is available to the consumers with room."""
        consumers = sum(consumer.has_room() for consumer in self._consumers)
        available = self._reader.pending + len(self._waiting)
        return max(1, math.ceil(available / max(1, consumers)))

    def _next(self) -> Delivery | None:
        # New messages and those that came back take turns: neither may starve the other.
        self._new_first = not self._new_first
        if self._new_first:
            return self._read() or self._waiting.next()
        return self._waiting.next() or self._read()

    def _hold_back(self, delivery: Delivery) -> None:
        """Make a message that did not fit the first of the next run: it may never fit after."""
        self._waiting.hold_back(delivery)
        self._new_first = True

    def _read(self) -> Delivery | None:
        while self._reads_left and (message := self._reader.read()) is not None:
            self._reads_left -= 1
            if self._accepts(message.content.attributes):
                delivery = Delivery(message, self)
                if self._waiting.admit(delivery):
                    return delivery
        return None

    def _lease(self, delivery: Delivery, consumer: Consumer, deadline: int) -> None:
        delivery.attempt += 1
        delivery.holder = consumer
        consumer.hold(delivery.size)
        self._delivered[delivery.message.sequence] = delivery
        self._leases.set(delivery, deadline)

    def _end_lease(self, delivery: Delivery) -> None:
        holder, delivery.holder = delivery.holder, None
        if holder is not None:
            self._leases.discard(delivery)
            holder.release(delivery.size)

    def _out(self, sequence: int, attempt: int) -> Delivery | None:
        """Return a delivery whose lease, granted by this attempt, still runs."""
        delivery = self._delivered.get(sequence)
        if delivery is None or delivery.holder is None or delivery.attempt != attempt:
            return None
        return delivery
