"""Messages of one subscription that wait to be delivered, again or for their turn."""

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

from tf_dataflow_serving.services.pubsub.delivery import Delivery


class Waiting(Protocol):
    """Decides which waiting message is next.

    A run is what one consumer is given at once; `begin_run` starts the next one.
    """

    def __len__(self) -> int:
        """Return how many messages wait."""

    def begin_run(self) -> None:
        """Start to give messages to a consumer."""

    def is_within_key(self) -> bool:
        """Tell whether the next message must follow the last one at once, in the same run.

        The rest of an ordering key would otherwise wait until the consumer has settled what it
        was given of it.
        """

    def admit(self, delivery: Delivery) -> bool:
        """Take in a message never delivered: True if it may go out now, else it waits."""

    def next(self) -> Delivery | None:
        """Remove and return a waiting message that may go out now."""

    def restore(self, delivery: Delivery) -> None:
        """Take in a message read earlier, after all that were restored before: it waits."""

    def put_back(self, delivery: Delivery) -> Sequence[Delivery]:
        """Let a delivered message wait again; return others whose delivery is now void."""

    def recall(self, delivery: Delivery) -> Sequence[Delivery]:
        """Let those wait, and return them, whose delivery is void if this message comes back."""

    def hold_back(self, delivery: Delivery) -> None:
        """Let a message just given out, which went nowhere, be the first of those that wait."""

    def settle(self, delivery: Delivery) -> bool:
        """Forget an acknowledged message, waiting or out; True if that lets others go out."""

    def clear(self) -> None:
        """Forget all messages."""


class UnorderedWaiting:
    """First come, first served."""

    def __init__(self) -> None:
        self._queue: OrderedDict[Delivery, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    def begin_run(self) -> None:
        """Nothing depends on the run."""

    def is_within_key(self) -> bool:
        """No message must follow another."""
        return False

    def admit(self, delivery: Delivery) -> bool:  # noqa: ARG002 - part of the interface
        """Every message may go out at once."""
        return True

    def next(self) -> Delivery | None:
        """Return the message that waits longest."""
        return self._queue.popitem(last=False)[0] if self._queue else None

    def restore(self, delivery: Delivery) -> None:
        """Queue the message."""
        self._queue[delivery] = None

    def put_back(self, delivery: Delivery) -> Sequence[Delivery]:
        """Queue the message; no other is touched."""
        self._queue[delivery] = None
        return ()

    def recall(self, delivery: Delivery) -> Sequence[Delivery]:  # noqa: ARG002 - the interface
        """No delivery depends on another."""
        return ()

    def hold_back(self, delivery: Delivery) -> None:
        """Queue the message before all others."""
        self._queue[delivery] = None
        self._queue.move_to_end(delivery, last=False)

    def settle(self, delivery: Delivery) -> bool:
        """Leave the queue; no other message waits for this one."""
        self._queue.pop(delivery, None)
        return False

    def clear(self) -> None:
        """Empty the queue."""
        self._queue.clear()


class _Lane:
    """The messages of one ordering key: those out, all of one run, and those that wait.

    Those that are out are in the order of publication.
    """

    __slots__ = ("out", "run", "waiting")

    def __init__(self) -> None:
        self.run = 0
        self.out: dict[int, Delivery] = {}
        self.waiting: list[tuple[int, Delivery]] = []

    def push(self, delivery: Delivery) -> None:
        heapq.heappush(self.waiting, (delivery.message.sequence, delivery))

    def pop(self) -> Delivery:
        return heapq.heappop(self.waiting)[1]

    def drop_settled(self) -> None:
        while self.waiting and self.waiting[0][1].settled:
            heapq.heappop(self.waiting)


class OrderedWaiting:
    """Messages with the same ordering key go out in the order of their publication.

    A key's messages go out to one consumer at a time: the next run of a key begins when all
    of the previous one are settled or back. When a message comes back, so do those of its
    key that went out after it. Messages without a key are not ordered.
    Source: cloud.google.com/pubsub/docs/ordering.
    """

    def __init__(self) -> None:
        self._unordered = UnorderedWaiting()
        self._lanes: dict[str, _Lane] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._current: str | None = None
        self._run = 0
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._unordered) + self._waiting

    def begin_run(self) -> None:
        """Close the lane of the run before: it opens when its messages are settled or back."""
        self._run += 1
        self._current = None

    def is_within_key(self) -> bool:
        """Tell whether the lane of the last message has more."""
        return self._current is not None

    def admit(self, delivery: Delivery) -> bool:
        """Let a message pass if nothing of its key is before it, but for its own run."""
        key = _key(delivery)
        if not key:
            return True
        lane = self._lanes.get(key) or self._lanes.setdefault(key, _Lane())
        if lane.waiting or (lane.out and lane.run != self._run):
            lane.push(delivery)
            self._waiting += 1
            return False
        self._send(lane, delivery)
        return True

    def next(self) -> Delivery | None:
        """Return a message of the lane that is ready longest, else one without key."""
        key = self._current or next(iter(self._ready), None)
        if key is None:
            return self._unordered.next()
        lane = self._lanes[key]
        delivery = lane.pop()
        self._waiting -= 1
        self._send(lane, delivery)
        self._refresh(key, lane)
        self._current = key if lane.waiting else None
        return delivery

    def restore(self, delivery: Delivery) -> None:
        """Queue the message at the end of its lane."""
        key = _key(delivery)
        if not key:
            self._unordered.restore(delivery)
            return
        lane = self._lanes.setdefault(key, _Lane())
        lane.push(delivery)
        self._waiting += 1
        self._refresh(key, lane)

    def put_back(self, delivery: Delivery) -> Sequence[Delivery]:
        """Close up the lane: what went out after this message must go out again."""
        key = _key(delivery)
        if not key:
            return self._unordered.put_back(delivery)
        later = self.recall(delivery)
        self._return(key, [delivery])
        return later

    def recall(self, delivery: Delivery) -> Sequence[Delivery]:
        """Return to the lane what went out after this message, which keeps the lane closed."""
        key = _key(delivery)
        if not key:
            return ()
        out = self._lanes[key].out
        earlier = delivery.message.sequence
        numbers = takewhile(lambda number: number > earlier, reversed(out))
        later = [out[number] for number in numbers]
        self._return(key, later)
        return later

    def hold_back(self, delivery: Delivery) -> None:
        """Put the message, the last that went out of its lane, back at the lane's head."""
        key = _key(delivery)
        if not key:
            self._unordered.hold_back(delivery)
            return
        self.put_back(delivery)
        if key in self._ready:
            self._ready.move_to_end(key, last=False)

    def settle(self, delivery: Delivery) -> bool:
        """Remove a message from its lane, which may open it."""
        key = _key(delivery)
        if not key:
            return self._unordered.settle(delivery)
        lane = self._lanes[key]
        if lane.out.pop(delivery.message.sequence, None) is None:
            self._waiting -= 1
        self._refresh(key, lane)
        return key in self._ready

    def clear(self) -> None:
        """Close all lanes."""
        self._unordered.clear()
        self._lanes.clear()
        self._ready.clear()
        self._current = None
        self._waiting = 0

    def _return(self, key: str, deliveries: Sequence[Delivery]) -> None:
        lane = self._lanes[key]
        for delivery in deliveries:
            del lane.out[delivery.message.sequence]
            lane.push(delivery)
        self._waiting += len(deliveries)
        self._refresh(key, lane)

    def _send(self, lane: _Lane, delivery: Delivery) -> None:
        lane.run = self._run
        lane.out[delivery.message.sequence] = delivery

    def _refresh(self, key: str, lane: _Lane) -> None:
        lane.drop_settled()
        if lane.waiting and not lane.out:
            self._ready[key] = None
            return
        self._ready.pop(key, None)
        if not lane.waiting and not lane.out:
            del self._lanes[key]


def _key(delivery: Delivery) -> str:
    return delivery.message.content.ordering_key
