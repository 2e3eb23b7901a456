"""Which messages are leased, wait to be taken, or were acknowledged a short time ago."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

Proto: TypeAlias = Any

REMEMBERED_SECONDS = 60.0
REMEMBERED_LABELS_SECONDS = 600.0
"""Source: cloud.google.com/dataflow/docs/concepts/streaming-with-cloud-pubsub, "Efficient
deduplication": messages with the same ID attribute are one within 10 minutes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long leases last, and how much may be leased at once.

    A service that ignores the limits may exceed them by what one of its responses holds.
    """

    lease_seconds: int = 60
    extend_every_seconds: float = 20.0
    messages: int = 10_000
    bytes: int = 256 * 1024 * 1024


DEFAULT_TERMS = Terms()


@dataclass(slots=True, eq=False)
class Leased:
    """A message under lease.

    `message` is a google.pubsub.v1.PubsubMessage; `published` is in nanoseconds since the Unix
    epoch; `size` is in bytes. `identity` is what de-duplication goes by, `delivery` names the
    message however often it is delivered; `ack_ids` are the newest ones.
    """

    message: Proto
    published: int
    size: int
    delivery: str
    identity: str
    ack_ids: tuple[str, ...]


def lease(received: Iterable[Proto], id_label: str | None) -> list[Leased]:
    """Read ReceivedMessages."""
    if id_label is None:
        return [_leased(one) for one in received]
    return [_labelled(_leased(one), id_label) for one in received]


def _leased(received: Proto) -> Leased:
    message = received.message
    time = message.publish_time
    published = time.seconds * 1_000_000_000 + time.nanos
    # An emulator that was started anew may use its message IDs again.
    delivery = f"{message.message_id} {published}"
    ack_ids = (received.ack_id,)
    return Leased(message, published, received.ByteSize(), delivery, delivery, ack_ids)


def _labelled(leased: Leased, id_label: str) -> Leased:
    label = leased.message.attributes.get(id_label)
    if label is not None:
        leased.identity = f"label {label}"
    return leased


class Admitted(NamedTuple):
    """What came of a delivery: how many can be taken, and what is to be acknowledged again."""

    new: int
    known: Sequence[str]


class Leases:
    """All messages that are leased, in the order in which they came; not safe for threads.

    Times are those of one clock, in seconds.
    """

    def __init__(self, terms: Terms, remembered_seconds: float) -> None:
        self._terms = terms
        self._remembered = Remembered(remembered_seconds)
        self._outstanding: dict[str, Leased] = {}
        self._waiting: OrderedDict[str, Leased] = OrderedDict()
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """The number of messages that can be taken."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether as much is leased as may be."""
        return len(self._outstanding) >= self._terms.messages or self._bytes >= self._terms.bytes

    def ack_ids(self) -> list[str]:
        """Return the newest ack ID of everything that is leased."""
        return [leased.ack_ids[-1] for leased in self._outstanding.values()]

    def admit(self, received: Iterable[Leased], now: float) -> Admitted:
        """Keep what is new; what is here already only takes the new ack ID."""
        before = len(self._waiting)
        known: list[str] = []
        self._remembered.forget_old(now)
        for leased in received:
            if self._is_known(leased):
                known.extend(leased.ack_ids)
        return Admitted(len(self._waiting) - before, known)

    def take(self, most: int) -> list[Leased]:
        """Return those that came first."""
        taken = list(islice(self._waiting.values(), most))
        for _ in taken:
            self._waiting.popitem(last=False)
        return taken

    def acknowledge(self, taken: Iterable[Leased], now: float) -> list[str]:
        """Return the ack IDs of those that are still leased, and remember them."""
        ended = self._end(taken)
        self._remembered.add([leased.identity for leased in ended], now)
        return _ack_ids(ended)

    def give_back(self, taken: Iterable[Leased]) -> list[str]:
        """Return the ack IDs of those that are still leased."""
        return _ack_ids(self._end(taken))

    def give_back_waiting(self) -> list[str]:
        """Return the ack IDs of all that nobody took."""
        return self.give_back(list(self._waiting.values()))

    def give_back_all(self) -> list[str]:
        """Return the ack IDs of everything."""
        return self.give_back(list(self._outstanding.values()))

    def _is_known(self, leased: Leased) -> bool:
        """Tell whether a message is processed without this delivery; if not, keep it."""
        identity = leased.identity
        held = self._outstanding.get(identity)
        if held is not None:
            return self._renew(held, leased)
        if identity in self._remembered:
            return True
        self._outstanding[identity] = self._waiting[identity] = leased
        self._bytes += leased.size
        return False

    def _renew(self, held: Leased, again: Leased) -> bool:
        """Take the new ack ID; tell whether the delivery is of another message instead."""
        if held.delivery != again.delivery:
            return True
        held.ack_ids = (held.ack_ids[-1], *again.ack_ids)
        # One of its key came back and is delivered again, and with it all that follow.
        if held.message.ordering_key and held.identity in self._waiting:
            self._waiting.move_to_end(held.identity)
        return False

    def _end(self, taken: Iterable[Leased]) -> list[Leased]:
        ended = []
        for leased in taken:
            if self._outstanding.get(leased.identity) is leased:
                del self._outstanding[leased.identity]
                self._waiting.pop(leased.identity, None)
                self._bytes -= leased.size
                ended.append(leased)
        return ended


class Remembered:
    """The identities of what was acknowledged within the last so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._identities: set[str] = set()
        self._until: deque[tuple[float, Sequence[str]]] = deque()

    def __contains__(self, identity: str) -> bool:
        return identity in self._identities

    def __len__(self) -> int:
        return len(self._identities)

    def add(self, identities: Sequence[str], now: float) -> None:
        """Remember these from now on."""
        self.forget_old(now)
        self._identities.update(identities)
        self._until.append((now + self._seconds, identities))

    def forget_old(self, now: float) -> None:
        """Forget those whose time is over."""
        while self._until and self._until[0][0] <= now:
            self._identities.difference_update(self._until.popleft()[1])


def _ack_ids(ended: Iterable[Leased]) -> list[str]:
    return [ack_id for leased in ended for ack_id in leased.ack_ids]
