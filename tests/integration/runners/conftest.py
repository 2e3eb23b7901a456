"""A topic and a subscription of its own for each test, and a look into the service."""

import queue
import threading
import uuid
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from google.cloud import pubsub_v1

from tf_dataflow_serving.runners.streaming.installation import installed
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl, SubscriptionState
from tf_dataflow_serving.services.stack import Stack

from .steps import Sink, forget, remember

TIMEOUT = 30.0


@dataclass(frozen=True)
class Source:
    """A topic with one subscription."""

    topic: str
    subscription: str
    control: PubSubControl
    publisher: pubsub_v1.PublisherClient

    def publish(self, *data: bytes, ordering_key: str = "", **attributes: str) -> list[str]:
        """Publish messages; returns their ids once the service has them."""
        sent = [self.publisher.publish(self.topic, one, ordering_key, **attributes) for one in data]
        futures.wait(sent, TIMEOUT)
        return [one.result(0) for one in sent]

    def state(self) -> SubscriptionState:
        """What the subscription owes."""
        states = self.control.subscriptions()
        return next(state for state in states if state.name == self.subscription)


@dataclass
class Gate:
    """Holds a step up until it is opened; `entered` is set once the step is there."""

    entered: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def control(on_stack: Stack) -> Iterator[PubSubControl]:
    assert on_stack.endpoints.pubsub_control is not None
    with PubSubControl(on_stack.endpoints.pubsub_control) as client:
        yield client


@pytest.fixture
def new_source(on_stack: Stack, control: PubSubControl) -> Iterator["NewSource"]:
    maker = NewSource(on_stack.endpoints.project, control)
    yield maker
    maker.close()


@pytest.fixture
def source(new_source: "NewSource") -> Source:
    return new_source()


class NewSource:
    """Makes sources, and deletes them."""

    def __init__(self, project: str, control: PubSubControl) -> None:
        self._project = project
        self._control = control
        ordered = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
        self._publisher = pubsub_v1.PublisherClient(publisher_options=ordered)
        self._subscriber = pubsub_v1.SubscriberClient()
        self._made: list[Source] = []

    def __call__(self, **policies: object) -> Source:
        name = f"t{uuid.uuid4().hex}"
        topic = f"projects/{self._project}/topics/{name}"
        subscription = f"projects/{self._project}/subscriptions/{name}"
        self._publisher.create_topic(name=topic, timeout=TIMEOUT)
        request = {"name": subscription, "topic": topic, "ack_deadline_seconds": 10, **policies}
        self._subscriber.create_subscription(request=request, timeout=TIMEOUT)
        source = Source(topic, subscription, self._control, self._publisher)
        self._made.append(source)
        return source

    def close(self) -> None:
        for source in self._made:
            self._subscriber.delete_subscription(subscription=source.subscription, timeout=TIMEOUT)
            self._publisher.delete_topic(topic=source.topic, timeout=TIMEOUT)
        self._subscriber.close()
        self._publisher.stop()


@contextmanager
def new_sink() -> Iterator[Sink]:
    made = Sink(uuid.uuid4().hex, queue.SimpleQueue())
    remember(made.name, made)
    yield made
    forget(made.name)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with new_sink() as made:
        yield made


@pytest.fixture
def refused() -> Iterator[Sink]:
    """A second sink, for what a step raised at."""
    with new_sink() as made:
        yield made


@pytest.fixture
def gate() -> Iterator[str]:
    name = uuid.uuid4().hex
    remember(name, Gate())
    yield name
    forget(name)


@pytest.fixture
def streaming() -> Iterator[None]:
    with installed():
        yield
