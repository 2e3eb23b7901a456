"""The broker against a simple model, under operations in any order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from tf_dataflow_serving.services.pubsub.broker import LEASE_RESOLUTION, Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.resources import SubscriptionSettings, TopicSettings

TOPIC = "projects/p/topics/top"
PLAIN, ORDERED, RED = (f"projects/p/subscriptions/{name}" for name in ("plain", "ordered", "red"))
SUBSCRIPTIONS = {
    PLAIN: SubscriptionSettings(),
    ORDERED: SubscriptionSettings(enable_message_ordering=True, ack_deadline_seconds=20),
    RED: SubscriptionSettings(filter='attributes.color = "red"'),
}


@dataclass
class Model:
    """What a subscription owes: messages not yet acknowledged, and the leases on them."""

    owed: dict[int, str] = field(default_factory=dict)
    leases: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By message: the attempt that holds it and the end of its lease."""
    history: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By ordering key: messages in the order in which they were published."""


class BrokerMachine(RuleBasedStateMachine):
    """Never loses a message, never delivers one that is leased or acknowledged."""

    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000 * SECOND
        self.broker = Broker(lambda: self.now, lambda: None)
        self.broker.catalog.create_topic(TOPIC, TopicSettings())
        self.models = {name: Model() for name in SUBSCRIPTIONS}
        for name, chosen in SUBSCRIPTIONS.items():
            self.broker.catalog.create_subscription(name, TOPIC, chosen)

    @rule(
        color=st.sampled_from(["red", "blue"]),
        key=st.sampled_from(["", "a", "b"]),
        count=st.integers(1, 4),
    )
    def publish(self, color, key, count):
        drafts = [Draft(b"", {"color": color}, key)] * count
        for message_id in map(int, self.broker.publish(TOPIC, drafts)):
            for name, model in self.models.items():
                if name != RED or color == "red":
                    model.owed[message_id] = key
                    model.history[key].append(message_id)

    @rule(target=deliveries, name=st.sampled_from(list(SUBSCRIPTIONS)), limit=st.integers(1, 5))
    def pull(self, name, limit):
        with self.broker.receive(name, FlowLimits(limit), lambda: None) as receiver:
            taken = receiver.take()
        assert len(taken) <= limit
        self.check_order(name, taken)
        for delivered in taken:
            self.lease(name, delivered)
        self.check_nothing_kept_back(name, taken)
        return multiple(*((name, delivered) for delivered in taken))

    def lease(self, name: str, delivered: Delivered) -> None:
        model, sequence = self.models[name], delivered.message.sequence
        assert sequence in model.owed, "acknowledged, or never published for this subscription"
        assert sequence not in model.leases, "leased to two at once"
        end = self.now + SUBSCRIPTIONS[name].ack_deadline_seconds * SECOND
        model.leases[sequence] = (delivered.attempt, end)

    def check_nothing_kept_back(self, name: str, taken: Sequence[Delivered]) -> None:
        model = self.models[name]
        free = model.owed.keys() - model.leases.keys()
        if name == ORDERED:
            blocked = {model.owed[leased] for leased in model.leases} - {""}
            free = {one for one in free if model.owed[one] not in blocked}
        assert taken or not free, "something was available, but nothing was delivered"

    def check_order(self, name: str, taken: Sequence[Delivered]) -> None:
        """A key's messages come without gap, and only while none of the key is out."""
        if name != ORDERED:
            return
        model = self.models[name]
        by_key: dict[str, list[int]] = defaultdict(list)
        for delivered in taken:
            by_key[delivered.message.content.ordering_key].append(delivered.message.sequence)
        by_key.pop("", None)
        for key, sequences in by_key.items():
            assert not any(model.owed.get(leased) == key for leased in model.leases)
            owed = [one for one in model.history[key] if one in model.owed]
            assert sequences == owed[: len(sequences)]

    @rule(delivery=deliveries)
    def acknowledge(self, delivery):
        name, delivered = delivery
        self.broker.acknowledge(name, [delivered.ack_id])
        self.models[name].owed.pop(delivered.message.sequence, None)
        self.models[name].leases.pop(delivered.message.sequence, None)

    @rule(delivery=deliveries, seconds=st.integers(1, 60))
    def extend(self, delivery, seconds):
        name, delivered = delivery
        self.broker.modify_ack_deadlines(name, [(delivered.ack_id, seconds)])
        lease = self.models[name].leases.get(delivered.message.sequence)
        if lease is not None and lease[0] == delivered.attempt:
            end = self.now + seconds * SECOND
            self.models[name].leases[delivered.message.sequence] = (delivered.attempt, end)

    @rule(delivery=deliveries)
    def nack(self, delivery):
        name, delivered = delivery
        self.broker.modify_ack_deadlines(name, [(delivered.ack_id, 0)])
        lease = self.models[name].leases.get(delivered.message.sequence)
        if lease is not None and lease[0] == delivered.attempt:
            self.return_message(name, delivered.message.sequence)

    @rule(seconds=st.integers(1, 25))
    def pass_time(self, seconds):
        self.now += seconds * SECOND
        while (due := self.broker.next_expiry()) is not None and due <= self.now:
            self.broker.expire_leases()
        for name, model in self.models.items():
            for sequence, (_, end) in list(model.leases.items()):
                if -(-end // LEASE_RESOLUTION) * LEASE_RESOLUTION <= self.now:
                    self.return_message(name, sequence)

    def return_message(self, name: str, sequence: int) -> None:
        model = self.models[name]
        if model.leases.pop(sequence, None) is None or name != ORDERED:
            return
        key = model.owed[sequence]
        for later in [one for one in model.leases if one > sequence]:
            if key and model.owed[later] == key:
                del model.leases[later]

    @invariant()
    def the_timer_rings_for_the_earliest_lease(self):
        ends = [end for model in self.models.values() for _, end in model.leases.values()]
        earliest = -(-min(ends) // LEASE_RESOLUTION) * LEASE_RESOLUTION if ends else None
        assert self.broker.next_expiry() == earliest

    def teardown(self):
        """Whatever is owed is delivered in the end, each message once."""
        self.pass_time(600)
        for name, model in self.models.items():
            received: list[int] = []
            while model.owed:
                with self.broker.receive(name, FlowLimits(), lambda: None) as receiver:
                    taken = receiver.take()
                assert taken, f"{name} keeps messages back"
                self.check_order(name, taken)
                received += [delivered.message.sequence for delivered in taken]
                self.broker.acknowledge(name, [delivered.ack_id for delivered in taken])
                for delivered in taken:
                    model.owed.pop(delivered.message.sequence)
            assert len(received) == len(set(received))


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
