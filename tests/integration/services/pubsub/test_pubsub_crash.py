"""An emulator with a data directory that is killed again and again while it is used."""

import copy
import random
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import grpc
import pytest
from google.pubsub_v1 import types

from tf_dataflow_serving.services.process import ServiceFailed, ServiceProcess

ROUNDS = 20
WAIT_SECONDS = 30.0
TOPIC = "projects/p/topics/top"
PLAIN = "projects/p/subscriptions/plain"
ORDERED = "projects/p/subscriptions/ordered"
SNAPSHOT = "projects/p/snapshots/halfway"
KEYS = ("a", "b")

Start = Callable[[], ServiceProcess]


@pytest.fixture
def start(launch, tmp_path) -> Start:
    """Starts the emulator on one data directory, as often as a test wishes."""
    return partial(launch, "--data_dir", str(tmp_path / "data"))


class Connection:
    """Bare calls: Google's clients would look for a killed emulator for a minute."""

    def __init__(self, process: ServiceProcess) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, method: str, request) -> bytes:
        call = self._channel.unary_unary(f"/google.pubsub.v1.{method}")
        return call(type(request).serialize(request), timeout=WAIT_SECONDS)

    def publish(self, key: str, texts: list[str]) -> list[str]:
        messages = [types.PubsubMessage(data=text.encode(), ordering_key=key) for text in texts]
        request = types.PublishRequest(topic=TOPIC, messages=messages)
        answer = self.call("Publisher/Publish", request)
        return list(types.PublishResponse.deserialize(answer).message_ids)

    def pull(self, subscription: str, limit: int) -> list:
        request = types.PullRequest(subscription=subscription, max_messages=limit)
        answer = self.call("Subscriber/Pull", request)
        return list(types.PullResponse.deserialize(answer).received_messages)

    def acknowledge(self, subscription: str, received: list) -> None:
        ack_ids = [one.ack_id for one in received]
        request = types.AcknowledgeRequest(subscription=subscription, ack_ids=ack_ids)
        self.call("Subscriber/Acknowledge", request)

    def give_back(self, subscription: str, received: list) -> None:
        ack_ids = [one.ack_id for one in received]
        request = types.ModifyAckDeadlineRequest(subscription=subscription, ack_ids=ack_ids)
        self.call("Subscriber/ModifyAckDeadline", request)


@dataclass
class Publisher:
    """Publishes numbered messages under one key, and keeps the IDs that it was given."""

    key: str
    chance: random.Random
    sent: int = 0
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, connection: Connection, answered: Callable[[], None]) -> None:
        while True:
            numbers = range(self.sent, self.sent + self.chance.randint(1, 50))
            self.sent = numbers.stop
            texts = [f"{self.key}:{number}" for number in numbers]
            self.ids.update(zip(texts, connection.publish(self.key, texts), strict=True))
            answered()


@dataclass
class Consumer:
    """Pulls from one subscription, and checks what comes against what came before.

    `unknown` are messages whose acknowledgement was sent and never answered.
    """

    subscription: str
    chance: random.Random
    delivered: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def run(self, connection: Connection) -> None:
        while True:
            received = self.pull(connection, limit=self.chance.randint(1, 100))
            kept = self.chance.randint(0, len(received))
            if kept:
                self.acknowledge(connection, received[:kept])
            if received[kept:]:
                connection.give_back(self.subscription, received[kept:])

    def drain(self, connection: Connection, expected: set[str]) -> None:
        """Pull and acknowledge until everything expected has been delivered."""
        while missing := expected - self.delivered.keys():
            received = self.pull(connection, limit=1_000)
            assert received, f"{self.subscription} has lost {len(missing)}, as {min(missing)}"
            self.acknowledge(connection, received)

    def pull(self, connection: Connection, limit: int) -> list:
        received = connection.pull(self.subscription, limit)
        texts = [one.message.data.decode() for one in received]
        again = self.acknowledged & set(texts)
        assert not again, f"{self.subscription} delivers {min(again)} though acknowledged"
        if self.subscription == ORDERED:
            self.check_order(texts)
        self.delivered.update((text_of(one), one.message.message_id) for one in received)
        return received

    def acknowledge(self, connection: Connection, received: list) -> None:
        texts = {text_of(one) for one in received}
        self.unknown |= texts
        connection.acknowledge(self.subscription, received)
        self.unknown -= texts
        self.acknowledged |= texts

    def check_order(self, texts: list[str]) -> None:
        """A key's messages come in order; nothing is left out that comes later."""
        for key in KEYS:
            numbers = [number_of(text) for text in texts if text.startswith(key)]
            assert numbers == sorted(numbers)
            seen = [number_of(text) for text in self.delivered if text.startswith(key)]
            new = [number for number in numbers if f"{key}:{number}" not in self.delivered]
            assert not (seen and new) or new[0] > max(seen)


def kill(process: ServiceProcess) -> None:
    process.process.kill()
    process.process.wait(WAIT_SECONDS)


def text_of(received) -> str:
    return received.message.data.decode()


def number_of(text: str) -> int:
    return int(text.partition(":")[2])


def until_killed(work: Callable[..., None], *arguments: object) -> None:
    """Work until the emulator is gone; any other error is one."""
    try:
        work(*arguments)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise


def use_and_kill(
    process: ServiceProcess, publishers: list[Publisher], consumers: list[Consumer], answers: int
) -> None:
    """Let all work at the same time, and kill the emulator after some answered publications."""
    answered = threading.Semaphore(0)
    with Connection(process) as connection, ThreadPoolExecutor() as threads:
        try:
            work = [
                *(
                    threads.submit(until_killed, one.run, connection, answered.release)
                    for one in publishers
                ),
                *(threads.submit(until_killed, one.run, connection) for one in consumers),
            ]
            for _ in range(answers):
                assert answered.acquire(timeout=WAIT_SECONDS)
        finally:
            kill(process)
        for one in work:
            one.result(WAIT_SECONDS)


def create_resources(connection: Connection) -> None:
    connection.call("Publisher/CreateTopic", types.Topic(name=TOPIC))
    for name in (PLAIN, ORDERED):
        subscription = types.Subscription(
            name=name, topic=TOPIC, enable_message_ordering=name == ORDERED
        )
        connection.call("Subscriber/CreateSubscription", subscription)


def create_snapshot(connection: Connection, consumer: Consumer) -> Consumer:
    """Return a consumer of what is owed now, to be asked after a seek to the snapshot."""
    request = types.CreateSnapshotRequest(name=SNAPSHOT, subscription=consumer.subscription)
    connection.call("Subscriber/CreateSnapshot", request)
    return copy.deepcopy(consumer)


def seek_to_snapshot(connection: Connection, subscription: str) -> None:
    request = types.SeekRequest(subscription=subscription, snapshot=SNAPSHOT)
    connection.call("Subscriber/Seek", request)


def test_what_was_answered_holds_however_often_the_emulator_is_killed(start):
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - for whoever looks into a failure
    chance = random.Random(seed)
    publishers = [Publisher(key, random.Random(chance.random())) for key in KEYS]
    plain, ordered = (Consumer(one, random.Random(chance.random())) for one in (PLAIN, ORDERED))
    with Connection(process := start()) as connection:
        create_resources(connection)
    for _ in range(ROUNDS // 2):
        use_and_kill(process, publishers, [plain, ordered], chance.randint(1, 60))
        process = start()
    with Connection(process) as connection:
        rewound = create_snapshot(connection, plain)
    for _ in range(ROUNDS // 2):
        use_and_kill(process, publishers, [plain, ordered], chance.randint(1, 60))
        process = start()
    ids = dict(chain.from_iterable(publisher.ids.items() for publisher in publishers))
    with Connection(process) as connection:
        for consumer in (plain, ordered):
            consumer.drain(connection, ids.keys())
            assert consumer.delivered.items() >= ids.items()
        seek_to_snapshot(connection, PLAIN)
    kill(process)
    rewound.delivered.clear()
    with Connection(start()) as connection:
        rewound.drain(connection, ids.keys() - rewound.acknowledged - rewound.unknown)


def test_an_emulator_refuses_the_data_directory_of_another(start):
    start()
    with pytest.raises(ServiceFailed, match="Another process is using the data directory") as said:
        start()
    assert str(said.value).count("\n") == 1, "more than its name and one line"
