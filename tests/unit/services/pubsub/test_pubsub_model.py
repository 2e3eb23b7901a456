"""The broker against a simple model, under operations in any order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from tf_dataflow_serving.services.pubsub.broker import LEASE_RESOLUTION, Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.errors import InvalidAckIds, InvalidArgument
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings
from tf_dataflow_serving.services.pubsub.store.interface import Store
from tf_dataflow_serving.services.pubsub.store.sqlite import SqliteStore

TOPIC = "projects/p/topics/top"
PLAIN, ORDERED, RED, EXACT = (
    f"projects/p/subscriptions/{name}" for name in ("plain", "ordered", "red", "exact")
)
SUBSCRIPTIONS = {
    PLAIN: SubscriptionSettings(retain_acked_messages=True),
    ORDERED: SubscriptionSettings(
        enable_message_ordering=True, ack_deadline_seconds=20, retain_acked_messages=True
    ),
    RED: SubscriptionSettings(filter='attributes.color = "red"'),
    EXACT: SubscriptionSettings(enable_exactly_once_delivery=True, enable_message_ordering=True),
}
IN_ORDER = {name for name, chosen in SUBSCRIPTIONS.items() if chosen.enable_message_ordering}
NAMES = st.sampled_from(list(SUBSCRIPTIONS))


@dataclass
class Published:
    """What the model knows of a message."""

    key: str
    color: str
    time: int


@dataclass
class Lease:
    """Who holds a message, and until when."""

    ack_id: str
    end: int


@dataclass
class Model:
    """What a subscription owes: messages not yet acknowledged, and the leases on them."""

    serial: int
    owed: set[int] = field(default_factory=set)
    retained: set[int] = field(default_factory=set)
    """All that was published since its creation, if it retains what was acknowledged."""
    leases: dict[int, Lease] = field(default_factory=dict)
    ack_ids: set[str] = field(default_factory=set)
    """All that were given since the last seek: one from before it acknowledges nothing."""

    def reset(self, owed: set[int]) -> None:
        """Owe something else from now on."""
        self.owed = owed
        self.leases.clear()
        self.ack_ids.clear()


class BrokerMachine(RuleBasedStateMachine):
    """Never loses a message, never delivers one that is leased or acknowledged."""

    deliveries = Bundle("deliveries")
    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000 * SECOND
        self.store = self.open_store()
        self.broker = Broker(lambda: self.now, lambda: None, self.store)
        self.broker.catalog.create_topic(TOPIC, TopicSettings())
        self.messages: dict[int, Published] = {}
        self.taken_snapshots: list[tuple[set[int], set[int]]] = []
        self.models: dict[str, Model] = {}
        for name in SUBSCRIPTIONS:
            self.subscribe(name)

    def open_store(self) -> Store:
        return Store()

    def subscribe(self, name: str) -> None:
        made = self.broker.catalog.create_subscription(name, TOPIC, SUBSCRIPTIONS[name])
        self.models[name] = Model(made.serial)

    @rule(
        color=st.sampled_from(["red", "blue"]),
        key=st.sampled_from(["", "a", "b"]),
        count=st.integers(1, 4),
    )
    def publish(self, color, key, count):
        drafts = [Draft(b"", {"color": color}, key)] * count
        for message_id in map(int, self.broker.publish(TOPIC, drafts)):
            self.messages[message_id] = Published(key, color, self.now)
            for name, model in self.models.items():
                model.owed |= self.wanted(name, {message_id})
                if SUBSCRIPTIONS[name].retain_acked_messages:
                    model.retained.add(message_id)

    def wanted(self, name: str, sequences: set[int]) -> set[int]:
        """What of these messages passes a subscription's filter."""
        return {one for one in sequences if name != RED or self.messages[one].color == "red"}

    @rule(target=deliveries, name=NAMES, limit=st.integers(1, 5))
    def pull(self, name, limit):
        taken = self.take(name, limit)
        assert len(taken) <= limit
        self.check_order(name, taken)
        for delivered in taken:
            self.lease(name, delivered)
        self.check_nothing_kept_back(name, taken)
        serial = self.models[name].serial
        return multiple(*((name, serial, delivered) for delivered in taken))

    def take(self, name: str, limit: int | None = None) -> list[Delivered]:
        with self.broker.receive(name, FlowLimits(limit), lambda: None) as receiver:
            return receiver.take()

    def lease(self, name: str, delivered: Delivered) -> None:
        model, sequence = self.models[name], delivered.message.sequence
        assert sequence in model.owed, "acknowledged, or never published for this subscription"
        assert sequence not in model.leases, "leased to two at once"
        end = self.now + SUBSCRIPTIONS[name].ack_deadline_seconds * SECOND
        model.leases[sequence] = Lease(delivered.ack_id, end)
        model.ack_ids.add(delivered.ack_id)

    def check_nothing_kept_back(self, name: str, taken: Sequence[Delivered]) -> None:
        model = self.models[name]
        free = model.owed - model.leases.keys()
        if name in IN_ORDER:
            blocked = {self.messages[leased].key for leased in model.leases} - {""}
            free = {one for one in free if self.messages[one].key not in blocked}
        assert taken or not free, "something was available, but nothing was delivered"

    def check_order(self, name: str, taken: Sequence[Delivered]) -> None:
        """A key's messages come without gap, and only while none of the key is out."""
        if name not in IN_ORDER:
            return
        model = self.models[name]
        by_key: dict[str, list[int]] = defaultdict(list)
        for delivered in taken:
            by_key[delivered.message.content.ordering_key].append(delivered.message.sequence)
        by_key.pop("", None)
        for key, sequences in by_key.items():
            assert not any(self.messages[leased].key == key for leased in model.leases)
            owed = sorted(one for one in model.owed if self.messages[one].key == key)
            assert sequences == owed[: len(sequences)]

    @rule(delivery=deliveries)
    def acknowledge(self, delivery):
        name, serial, delivered = delivery
        model, sequence = self.models[name], delivered.message.sequence
        if serial != model.serial:
            with pytest.raises(InvalidArgument):
                self.broker.acknowledge(name, [delivered.ack_id])
        elif name == EXACT and not self.holds(model, delivered):
            with pytest.raises(InvalidAckIds):
                self.broker.acknowledge(name, [delivered.ack_id])
        else:
            self.broker.acknowledge(name, [delivered.ack_id])
            if delivered.ack_id in model.ack_ids:
                model.owed.discard(sequence)
                model.leases.pop(sequence, None)

    def holds(self, model: Model, delivered: Delivered) -> bool:
        lease = model.leases.get(delivered.message.sequence)
        return lease is not None and lease.ack_id == delivered.ack_id

    @rule(delivery=deliveries, seconds=st.integers(0, 60))
    def modify_ack_deadline(self, delivery, seconds):
        name, serial, delivered = delivery
        model, change = self.models[name], [(delivered.ack_id, seconds)]
        holds = self.holds(model, delivered)
        if serial != model.serial or (name == EXACT and not holds):
            with pytest.raises((InvalidArgument, InvalidAckIds)):
                self.broker.modify_ack_deadlines(name, change)
            return
        self.broker.modify_ack_deadlines(name, change)
        if holds and seconds:
            model.leases[delivered.message.sequence].end = self.now + seconds * SECOND
        elif holds:
            self.return_message(name, delivered.message.sequence)

    @rule(name=NAMES, last_first=st.booleans())
    def give_all_back(self, name, last_first):
        model = self.models[name]
        ack_ids = [
            lease.ack_id
            for _, lease in sorted(model.leases.items(), key=itemgetter(0), reverse=last_first)
        ]
        self.broker.modify_ack_deadlines(name, [(ack_id, 0) for ack_id in ack_ids])
        model.leases.clear()

    @rule(seconds=st.integers(1, 25))
    def pass_time(self, seconds):
        self.now += seconds * SECOND
        while self.broker.next_due() <= self.now:
            self.broker.run_due()
        for name, model in self.models.items():
            for sequence, lease in sorted(model.leases.items(), key=itemgetter(0)):
                if -(-lease.end // LEASE_RESOLUTION) * LEASE_RESOLUTION <= self.now:
                    self.return_message(name, sequence)

    def return_message(self, name: str, sequence: int) -> None:
        model = self.models[name]
        if model.leases.pop(sequence, None) is None or name not in IN_ORDER:
            return
        key = self.messages[sequence].key
        for later in [one for one in model.leases if one > sequence]:
            if key and self.messages[later].key == key:
                del model.leases[later]

    @rule(name=NAMES, seconds=st.integers(-5, 60))
    def seek_to_time(self, name, seconds):
        time = self.now - seconds * SECOND
        model = self.models[name]
        known = self.wanted(name, model.owed | model.retained)
        self.broker.seek_to_time(name, time)
        model.reset({one for one in known if self.messages[one].time >= time})

    @rule(target=snapshots, name=st.sampled_from([PLAIN, ORDERED, EXACT]))
    def create_snapshot(self, name):
        number = len(self.taken_snapshots)
        snapshot = f"projects/p/snapshots/snap-{number}"
        subscription = self.broker.catalog.subscription(name)
        self.broker.snapshots.create(snapshot, subscription, {})
        self.taken_snapshots.append((set(self.models[name].owed), set(self.messages)))
        return snapshot, number

    @rule(name=NAMES, snapshot=snapshots)
    def seek_to_snapshot(self, name, snapshot):
        snapshot_name, number = snapshot
        owed, before = self.taken_snapshots[number]
        self.broker.seek_to_snapshot(name, snapshot_name)
        self.models[name].reset(self.wanted(name, owed | (self.messages.keys() - before)))

    @rule(name=NAMES)
    def delete_and_create_again(self, name):
        self.broker.catalog.delete_subscription(name)
        self.subscribe(name)

    @invariant()
    def the_timer_rings_for_the_earliest_lease(self):
        ends = [lease.end for model in self.models.values() for lease in model.leases.values()]
        due = self.broker.next_due()
        assert due > self.now, "the timer would never rest"
        assert not ends or due <= -(-min(ends) // LEASE_RESOLUTION) * LEASE_RESOLUTION

    @invariant()
    def sizes_are_those_of_the_model(self):
        for name, model in self.models.items():
            backlog = self.broker.catalog.subscription(name).backlog
            assert backlog.size() == (len(model.owed), len(model.leases))
            assert backlog.is_empty() == (not model.owed)

    def teardown(self):
        """Whatever is owed is delivered in the end, each message once."""
        self.pass_time(600)
        for name, model in self.models.items():
            received: list[int] = []
            while model.owed:
                taken = self.take(name)
                assert taken, f"{name} keeps messages back"
                self.check_order(name, taken)
                received += [delivered.message.sequence for delivered in taken]
                self.broker.acknowledge(name, [delivered.ack_id for delivered in taken])
                for delivered in taken:
                    model.owed.remove(delivered.message.sequence)
            assert len(received) == len(set(received))
            assert self.take(name) == []


class RestartingBrokerMachine(BrokerMachine):
    """The same, and all that it owes survives the process."""

    def open_store(self) -> Store:
        if not hasattr(self, "directory"):
            self.directory = TemporaryDirectory()
        return SqliteStore(Path(self.directory.name))

    @rule(seconds=st.integers(-100, 10))
    def restart(self, seconds):
        """The time of day may have been set back meanwhile."""
        self.store.close()
        self.store = self.open_store()
        self.now = max(self.now + seconds * SECOND, self.store.latest_time())
        self.broker = Broker(lambda: self.now, lambda: None, self.store)
        for model in self.models.values():
            model.leases.clear()

    @initialize()
    def begin_with_a_message(self):
        self.publish("red", "a", 2)

    def teardown(self):
        super().teardown()
        self.store.close()
        self.directory.cleanup()


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRestartingBroker = RestartingBrokerMachine.TestCase
TestRestartingBroker.settings = settings(max_examples=75, stateful_step_count=40, deadline=None)
