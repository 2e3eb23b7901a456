"""The store in a data directory against a simple model, under operations in any order."""

import copy
from contextlib import ExitStack

import pytest
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tf_dataflow_serving.services.pubsub.message import Draft, Message
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    RetryPolicy,
    SubscriptionSettings,
    TopicSettings,
)
from tf_dataflow_serving.services.pubsub.store import sqlite
from tf_dataflow_serving.services.pubsub.store.interface import (
    AckState,
    SnapshotRecord,
    StoredState,
    SubscriptionRecord,
    TopicRecord,
)
from tf_dataflow_serving.services.pubsub.store.sqlite import SqliteStore


class Abandoned(Exception):
    """Ends a transaction."""


class Model:
    """A store in a few dictionaries."""

    def __init__(self):
        self.topics, self.messages = {}, {}
        self.subscriptions, self.snapshots = {}, {}
        self.states = {}

    def save_topic(self, record):
        self.topics[record.serial] = record
        self.messages.setdefault(record.serial, {})

    def append(self, topic, added):
        self.messages[topic].update({message.sequence: message for message in added})

    def delete_messages(self, topic, before):
        kept = self.messages[topic].items()
        self.messages[topic] = {sequence: one for sequence, one in kept if sequence >= before}

    def add_subscription(self, record, floor):
        self.subscriptions[record.serial] = record
        self.states[record.serial] = AckState(floor)

    def save_subscription(self, record):
        self.subscriptions[record.serial] = record

    def delete_subscription(self, serial):
        del self.subscriptions[serial], self.states[serial]

    def acknowledge(self, subscription, sequences):
        state = self.states[subscription]
        self.states[subscription] = AckState(state.floor, state.acknowledged | set(sequences))

    def raise_floor(self, subscription, floor):
        acknowledged = self.states[subscription].acknowledged
        self.states[subscription] = AckState(floor, {one for one in acknowledged if one > floor})

    def seek(self, subscription, floor, replay_from):
        acknowledged = self.states[subscription].acknowledged
        kept = {one for one in acknowledged if floor < one < replay_from}
        self.states[subscription] = AckState(floor, kept)

    def seek_to_snapshot(self, subscription, snapshot):
        self.states[subscription] = self.states[snapshot]

    def add_snapshot(self, record, subscription):
        self.snapshots[record.serial] = record
        self.states[record.serial] = self.states[subscription]

    def save_snapshot(self, record):
        self.snapshots[record.serial] = record

    def delete_snapshot(self, serial):
        del self.snapshots[serial], self.states[serial]

    def load(self):
        referring = [*self.subscriptions.values(), *self.snapshots.values()]
        used = {record.topic for record in referring}
        for serial in [one.serial for one in self.topics.values() if one.deleted]:
            if serial not in used:
                del self.topics[serial], self.messages[serial]
        return StoredState(
            topics=list(self.topics.values()),
            messages={topic: list(kept.values()) for topic, kept in self.messages.items()},
            subscriptions=[(one, self.states[one.serial]) for one in self.subscriptions.values()],
            snapshots=[(one, self.states[one.serial]) for one in self.snapshots.values()],
        )


labels = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
topic_settings = st.builds(TopicSettings, labels, st.none() | st.integers(0, 10**16))
subscription_settings = st.builds(
    SubscriptionSettings,
    labels=labels,
    enable_message_ordering=st.booleans(),
    expiration=st.none() | st.integers(0, 10**16),
    retry_policy=st.none() | st.builds(RetryPolicy),
    dead_letter_policy=st.none() | st.builds(DeadLetterPolicy, st.text(max_size=3)),
)
drafts = st.builds(Draft, st.binary(max_size=9), labels, st.text(max_size=3))


class StoreMachine(RuleBasedStateMachine):
    """A store and its model do the same; from time to time the store is opened again.

    What it held then goes to `seen`.
    """

    def __init__(self, directory, seen):
        super().__init__()
        self.seen = seen
        self.directory = directory
        self.store = SqliteStore(directory)
        self.model = self.before = Model()
        self.transactions = ExitStack()
        self.depth = self.last = 0

    def next(self):
        self.last += 1
        return self.last

    def do(self, method, *arguments):
        getattr(self.store, method)(*arguments)
        getattr(self.model, method)(*arguments)

    def one_of(self, data, serials):
        return data.draw(st.sampled_from(sorted(serials)))

    @initialize()
    def begin_with_some_messages(self):
        self.save_topic(None, TopicSettings(), deleted=False)
        self.save_topic(None, TopicSettings(), deleted=False)
        self.add_subscription(None, SubscriptionSettings(), topic=1)
        for topic in (1, 2, 1):
            added = [Message(self.next(), 10**18, Draft(b"", {}, "")) for _ in range(3)]
            self.do("append", topic, added)
        self.do("acknowledge", 3, [4, 6, 11])

    @rule(data=st.data(), settings=topic_settings, deleted=st.booleans())
    def save_topic(self, data, settings, deleted):
        known = data and data.draw(st.none() | st.sampled_from(sorted(self.model.topics) or [None]))
        serial = known or self.next()
        self.do("save_topic", TopicRecord(serial, f"topics/{serial}", settings, deleted))

    @precondition(lambda self: self.model.topics)
    @rule(data=st.data(), added=st.lists(drafts, max_size=9))
    def append(self, data, added):
        numbered = [Message(self.next(), 10**18, draft) for draft in added]
        self.do("append", self.one_of(data, self.model.topics), numbered)

    @precondition(lambda self: self.model.topics)
    @rule(data=st.data())
    def delete_messages(self, data):
        before = data.draw(st.integers(0, self.last + 1))
        self.do("delete_messages", self.one_of(data, self.model.topics), before)

    @precondition(lambda self: self.model.topics)
    @rule(data=st.data(), settings=subscription_settings)
    def add_subscription(self, data, settings, topic=None):
        topic, floor = topic or self.one_of(data, self.model.topics), self.last
        record = SubscriptionRecord(self.next(), "subscriptions/sub", topic, settings)
        self.do("add_subscription", record, floor)

    @precondition(lambda self: self.model.subscriptions)
    @rule(data=st.data(), settings=subscription_settings, detached=st.booleans())
    def save_subscription(self, data, settings, detached):
        known = self.model.subscriptions[self.one_of(data, self.model.subscriptions)]
        record = SubscriptionRecord(known.serial, known.name, known.topic, settings, detached)
        self.do("save_subscription", record)

    @precondition(lambda self: self.model.subscriptions)
    @rule(data=st.data())
    def delete_subscription(self, data):
        self.do("delete_subscription", self.one_of(data, self.model.subscriptions))

    @precondition(lambda self: self.model.subscriptions)
    @rule(data=st.data())
    def acknowledge(self, data):
        serial = self.one_of(data, self.model.subscriptions)
        numbers = st.integers(self.model.states[serial].floor + 1, self.last + 10)
        self.do("acknowledge", serial, data.draw(st.lists(numbers, max_size=9)))

    @precondition(lambda self: self.model.subscriptions)
    @rule(data=st.data())
    def raise_floor(self, data):
        serial = self.one_of(data, self.model.subscriptions)
        floor = self.model.states[serial].floor
        self.do("raise_floor", serial, data.draw(st.integers(floor, max(floor, self.last))))

    @precondition(lambda self: self.model.subscriptions)
    @rule(data=st.data())
    def seek(self, data):
        floor = data.draw(st.integers(0, self.last))
        replay_from = data.draw(st.integers(floor + 1, self.last + 10))
        self.do("seek", self.one_of(data, self.model.subscriptions), floor, replay_from)

    @precondition(lambda self: self.model.subscriptions and self.model.snapshots)
    @rule(data=st.data())
    def seek_to_snapshot(self, data):
        snapshot = self.one_of(data, self.model.snapshots)
        self.do("seek_to_snapshot", self.one_of(data, self.model.subscriptions), snapshot)

    @precondition(lambda self: self.model.subscriptions)
    @rule(data=st.data(), chosen=labels, expire_time=st.integers(0, 2**62))
    def add_snapshot(self, data, chosen, expire_time):
        source = self.model.subscriptions[self.one_of(data, self.model.subscriptions)]
        record = SnapshotRecord(self.next(), "snapshots/snap", source.topic, expire_time, chosen)
        self.do("add_snapshot", record, source.serial)

    @precondition(lambda self: self.model.snapshots)
    @rule(data=st.data(), chosen=labels, expire_time=st.integers(0, 2**62))
    def save_snapshot(self, data, chosen, expire_time):
        known = self.model.snapshots[self.one_of(data, self.model.snapshots)]
        record = SnapshotRecord(known.serial, known.name, known.topic, expire_time, chosen)
        self.do("save_snapshot", record)

    @precondition(lambda self: self.model.snapshots)
    @rule(data=st.data())
    def delete_snapshot(self, data):
        self.do("delete_snapshot", self.one_of(data, self.model.snapshots))

    @precondition(lambda self: self.depth < 3)
    @rule()
    def begin(self):
        if not self.depth:
            self.before = copy.deepcopy(self.model)
        self.transactions.enter_context(self.store.transaction())
        self.depth += 1

    @precondition(lambda self: self.depth)
    @rule()
    def commit(self):
        self.transactions.close()
        self.depth = 0

    @precondition(lambda self: self.depth)
    @rule()
    def roll_back(self):
        with pytest.raises(Abandoned), self.transactions:
            raise Abandoned
        self.model, self.depth = self.before, 0

    @precondition(lambda self: not self.depth)
    @rule()
    def reopen(self):
        self.store.close()
        self.store = SqliteStore(self.directory)
        held = self.store.load()
        self.seen.append(held)
        assert held == self.model.load()

    def teardown(self):
        if self.depth:
            self.commit()
        try:
            self.reopen()
        finally:
            self.store.close()


def test_it_keeps_what_a_few_dictionaries_would_keep(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(sqlite, "ROWS_PER_SWEEP", 2)
    seen: list[StoredState] = []
    run_state_machine_as_test(
        lambda: StoreMachine(tmp_path_factory.mktemp("data"), seen),
        settings=examples(max_examples=100, stateful_step_count=40, deadline=None),
    )
    assert any(acks.acknowledged for state in seen for _, acks in state.subscriptions)
    assert any(state.snapshots for state in seen)
