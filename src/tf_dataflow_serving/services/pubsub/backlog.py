"""What a subscription has still to deliver, and what it has delivered without an answer."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from typing import NamedTuple

from tf_dataflow_serving.services.pubsub.consumer import Consumer
from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.filter import Filter
from tf_dataflow_serving.services.pubsub.log import Log, Reader
from tf_dataflow_serving.services.pubsub.message import Message
from tf_dataflow_serving.services.pubsub.settings import RetryPolicy
from tf_dataflow_serving.services.pubsub.timetable import Timetable
from tf_dataflow_serving.services.pubsub.waiting import Waiting

STEPS_PER_TURN = 10_000
"""Messages that are passed at once at most: others must not wait for a long skip."""

MESSAGES_PER_TURN = 1_000
"""Messages that one `take` returns at most, for the same reason."""

Forward = Callable[[Delivery], bool]
"""Moves a message that came back to its dead-letter topic, if it must go there."""


class Position(NamedTuple):
    """What a subscription owes: messages read before, and all that `reader` has not read."""

    owed: tuple[Message, ...]
    reader: Reader

    @property
    def floor(self) -> int:
        """The highest sequence up to which nothing is owed."""
        return (self.owed[0].sequence if self.owed else self.reader.next_sequence) - 1


class BacklogSize(NamedTuple):
    """Numbers of messages: all that are not acknowledged, and those of them that are leased."""

    unacknowledged: int
    out: int


class Backlog:
    """The unacknowledged messages of one subscription.

    A message is in one of four places: in the topic's log, not read yet; waiting, for its
    turn or since it came back; out, held by a consumer under a lease; or delayed by the retry
    policy. Messages that were published before `oldest` are dropped when they are met.
    """

    def __init__(
        self,
        reader: Reader,
        times: Timetable[Delivery],
        waiting: Waiting,
        accepts: Filter,
    ) -> None:
        self.retry_policy: RetryPolicy | None = None
        self.forward: Forward = _keep
        self.oldest = 0
        self._reader = reader
        self._times = times
        self._waiting = waiting
        self._accepts = accepts
        # By sequence, in the order of the log: what was read and is not settled.
        self._unsettled: dict[int, Delivery] = {}
        self._consumers: dict[Consumer, None] = {}
        self._new_first = False
        self._steps_left = 0

    @property
    def has_consumers(self) -> bool:
        """Tell whether anybody receives now."""
        return bool(self._consumers)

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

    def take(
        self, consumer: Consumer, deadline: int, max_bytes: int, leases: Iterable[int]
    ) -> list[Delivery]:
        """Lease messages to a consumer until `deadline`, as many as it has room for.

        With several consumers each gets a fair share at a time, and what remains of an ordering
        key, but nobody gets more than MESSAGES_PER_TURN. The sum of their encoded sizes stays
        within `max_bytes`, but a message that is larger comes alone. Every lease takes its
        number from `leases`.
        """
        taken: list[Delivery] = []
        numbers, bytes_left = iter(leases), max_bytes
        share = min(self._share(), MESSAGES_PER_TURN)
        self._waiting.begin_run()
        self._steps_left = STEPS_PER_TURN
        while self._may_go_on(len(taken), share) and consumer.has_room():
            number = next(numbers)  # first: it may fail, and a message must not be on its way then
            delivery = self._next()
            if delivery is None:
                break
            bytes_left -= delivery.message.encoded_size
            if bytes_left < 0 and taken:
                self._hold_back(delivery)
                break
            self._lease(delivery, consumer, deadline, number)
            taken.append(delivery)
        if self._steps_left <= 0:
            consumer.wake()
        return taken

    def find(self, sequence: int) -> Delivery | None:
        """Return a message that was read and is not settled."""
        return self._unsettled.get(sequence)

    def find_ahead(self, sequence: int) -> Delivery | None:
        """Return a message that is not settled, and read as far as it is for that.

        What a process has delivered, the next one has not read.
        """
        while self._reader.next_sequence <= sequence and (message := self._reader.read()):
            if self._wants(message):
                self._waiting.restore(self._admit(message))
        return self.find(sequence)

    def acknowledge(self, delivery: Delivery) -> None:
        """Forget a message that is not settled."""
        delivery.acknowledged = True
        self._settle(delivery)

    def extend(self, delivery: Delivery, deadline: int) -> None:
        """Move the end of a lease that runs."""
        delivery.extensions += 1
        self._times.set(delivery, deadline)

    def take_back(self, delivery: Delivery, now: int) -> None:
        """Count a return: the message is delivered again, or is a dead letter.

        Its lease runs, or is void since one before it in its order came back just now.
        """
        is_void = delivery.holder is None
        self._end_lease(delivery)
        delivery.returns += 1
        if self.forward(delivery):
            self._settle(delivery)
        elif is_void:
            return
        elif self.retry_policy is not None:
            self._delay(delivery, now + self.retry_policy.backoff(delivery.returns))
        else:
            self._make_available(delivery)

    def due(self, delivery: Delivery, now: int) -> None:
        """End the lease of a message, or the delay of one that has none."""
        if delivery.holder is None:
            self._make_available(delivery)
        else:
            self.take_back(delivery, now)

    def position(self) -> Position:
        """Return what is owed now."""
        owed = tuple(delivery.message for delivery in self._unsettled.values())
        return Position(owed, self._reader.copy())

    def unread(self) -> Reader:
        """Return a reader of what was not read yet."""
        return self._reader.copy()

    def oldest_time(self) -> int | None:
        """Return when the oldest message that is owed was published; None if nothing is owed."""
        read = (delivery.message for delivery in self._unsettled.values())
        oldest = next(chain(read, filter(self._wants, self._reader)), None)
        return None if oldest is None else oldest.publish_time

    def floor(self) -> int:
        """Return the highest sequence up to which nothing is owed."""
        return next(iter(self._unsettled), self._reader.next_sequence) - 1

    def rewound(self, time: int, histories: Iterable[Reader]) -> Position:
        """Return what is owed if just what was published from `time` on is.

        Messages that were settled are among them as far as one of `histories` has them.
        """
        earliest = max((self._reader, *histories), key=attrgetter("pending"))
        reader = earliest.copy()
        first = reader.next_sequence
        owed = tuple(
            delivery.message
            for delivery in self._unsettled.values()
            if delivery.message.sequence < first and delivery.message.publish_time >= time
        )
        reader.pass_older(time)
        return Position(owed, reader)

    def reset(self, position: Position) -> None:
        """Owe from now on what `position` says; all leases end."""
        for delivery in self._unsettled.values():
            delivery.settled = True
            self._end_lease(delivery)
        self._unsettled.clear()
        self._waiting.clear()
        self._reader = position.reader.copy()
        for message in position.owed:
            if self._accepts(message.content.attributes):
                self._waiting.restore(self._admit(message))
        self.wake_consumers()

    def clear(self) -> None:
        """Drop all messages, end all leases and receive nothing from now on."""
        # A reader that stood still would keep all that is published after it.
        self.reset(Position((), Reader(Log())))

    def drop_old(self) -> bool:
        """Drop some messages that are too old; leased ones stay. Tell whether there are more."""
        old = list(islice(self._old(), STEPS_PER_TURN))
        for delivery in old:
            self._settle(delivery)
        before = self._reader.pending
        self._reader.pass_older(self.oldest, STEPS_PER_TURN)
        return STEPS_PER_TURN in (len(old), before - self._reader.pending)

    def is_empty(self) -> bool:
        """Tell whether everything is acknowledged."""
        if self._unsettled:
            return False
        self._skip_unwanted()
        return not self._reader.pending

    def size(self) -> BacklogSize:
        """Count the messages."""
        out = sum(delivery.holder is not None for delivery in self._unsettled.values())
        return BacklogSize(len(self._unsettled) + sum(map(self._wants, self._reader)), out)

    def _old(self) -> Iterator[Delivery]:
        """Return what is too old and not leased, from the front."""
        for delivery in self._unsettled.values():
            if delivery.message.publish_time >= self.oldest:
                return
            if delivery.holder is None:
                yield delivery

    def _skip_unwanted(self) -> None:
        """Pass what the filter rejects, so that nobody looks at it twice."""
        for message in self._reader:
            if self._wants(message):
                return
            self._reader.read()

    def _may_go_on(self, taken: int, share: int) -> bool:
        return taken < share or (taken < MESSAGES_PER_TURN and self._waiting.is_within_key())

    def _share(self) -> int:
        """Return an equal part, at least 1, of what is available to the consumers with room."""
        consumers = sum(consumer.has_room() for consumer in self._consumers)
        available = self._reader.pending + len(self._waiting)
        return max(1, math.ceil(available / max(1, consumers)))

    def _next(self) -> Delivery | None:
        while (delivery := self._candidate()) is not None:
            if delivery.message.publish_time >= self.oldest:
                return delivery
            self._settle(delivery)
            self._steps_left -= 1
            if self._steps_left <= 0:
                break
        return None

    def _candidate(self) -> Delivery | None:
        if self._waiting.is_within_key():
            return self._waiting.next()
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
        while self._steps_left > 0 and (message := self._reader.read()) is not None:
            self._steps_left -= 1
            if self._wants(message):
                delivery = self._admit(message)
                if self._waiting.admit(delivery):
                    return delivery
        return None

    def _wants(self, message: Message) -> bool:
        return message.publish_time >= self.oldest and self._accepts(message.content.attributes)

    def _admit(self, message: Message) -> Delivery:
        delivery = self._unsettled[message.sequence] = Delivery(message, self)
        return delivery

    def _lease(self, delivery: Delivery, consumer: Consumer, deadline: int, number: int) -> None:
        delivery.attempt += 1
        delivery.lease = number
        delivery.holder = consumer
        consumer.hold(delivery.size)
        self._times.set(delivery, deadline)

    def _delay(self, delivery: Delivery, until: int) -> None:
        for void in self._waiting.recall(delivery):
            self._end_lease(void)
        self._times.set(delivery, until)

    def _make_available(self, delivery: Delivery) -> None:
        for void in self._waiting.put_back(delivery):
            self._end_lease(void)
        self.wake_consumers()

    def _settle(self, delivery: Delivery) -> None:
        del self._unsettled[delivery.message.sequence]
        delivery.settled = True
        self._end_lease(delivery)
        if self._waiting.settle(delivery):
            self.wake_consumers()

    def _end_lease(self, delivery: Delivery) -> None:
        """End the lease, or the delay, of a message that may have one."""
        self._times.discard(delivery)
        holder, delivery.holder = delivery.holder, None
        if holder is not None:
            holder.release(delivery.size)


def _keep(delivery: Delivery) -> bool:  # noqa: ARG001 - a Forward
    """The dead-letter topic of a subscription that has none."""
    return False
