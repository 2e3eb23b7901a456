"""A broker whose time stands still until a test moves it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings

TOPIC = "projects/p/topics/top"
SUBSCRIPTION = "projects/p/subscriptions/sub"


def ignore_wake() -> None:
    """Nobody waits in a test that asks by itself."""


@dataclass
class Bench:
    """A broker under a fake clock, with one topic."""

    now: int = 1_000 * SECOND
    timer_calls: int = 0
    broker: Broker = field(init=False)

    def __post_init__(self) -> None:
        self.broker = Broker(lambda: self.now, self._timer_called)
        self.broker.catalog.create_topic(TOPIC, TopicSettings())

    def _timer_called(self) -> None:
        self.timer_calls += 1

    def subscribe(self, name: str = SUBSCRIPTION, **settings: object) -> str:
        self.broker.catalog.create_subscription(name, TOPIC, SubscriptionSettings(**settings))
        return name

    def publish(self, *texts: str, key: str = "", **attributes: str) -> list[str]:
        drafts = [Draft(text.encode(), attributes, key) for text in texts]
        return self.broker.publish(TOPIC, drafts)

    def pull(self, name: str = SUBSCRIPTION, limit: int | None = None) -> list[Delivered]:
        """Take once, as one call of Pull does."""
        with self.broker.receive(name, FlowLimits(messages=limit), ignore_wake) as receiver:
            return receiver.take()

    def texts(self, name: str = SUBSCRIPTION, limit: int | None = None) -> list[str]:
        return [delivered.message.content.data.decode() for delivered in self.pull(name, limit)]

    def ack(self, *delivered: Delivered, name: str = SUBSCRIPTION) -> None:
        self.broker.acknowledge(name, [one.ack_id for one in delivered])

    def modify(self, seconds: int, *delivered: Delivered, name: str = SUBSCRIPTION) -> None:
        self.broker.modify_ack_deadlines(name, [(one.ack_id, seconds) for one in delivered])

    def advance(self, seconds: float) -> None:
        """Move the clock and do what the server does when its timer rings."""
        self.now += int(seconds * SECOND)
        while self.broker.next_due() <= self.now:
            self.broker.run_due()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def new_bench() -> Callable[[], Bench]:
    """For properties, which need a fresh broker for every example."""
    return Bench
