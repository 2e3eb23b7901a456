"""The topics and subscriptions that exist, by name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from tf_dataflow_serving.services.pubsub import names
from tf_dataflow_serving.services.pubsub.backlog import Backlog
from tf_dataflow_serving.services.pubsub.clock import Clock
from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.errors import AlreadyExists, NotFound
from tf_dataflow_serving.services.pubsub.filter import parse_filter
from tf_dataflow_serving.services.pubsub.log import Reader
from tf_dataflow_serving.services.pubsub.resources import Subscription, Topic
from tf_dataflow_serving.services.pubsub.serials import Serials
from tf_dataflow_serving.services.pubsub.settings import SubscriptionSettings, TopicSettings
from tf_dataflow_serving.services.pubsub.store.interface import (
    Store,
    SubscriptionRecord,
    TopicRecord,
)
from tf_dataflow_serving.services.pubsub.timetable import Timetable, Wake
from tf_dataflow_serving.services.pubsub.waiting import OrderedWaiting, UnorderedWaiting

Resource = TypeVar("Resource")

Forward = Callable[[Subscription, Delivery], bool]
"""Moves a message that came back to its subscription's dead-letter topic, if it must go there."""


class Catalog:
    """Creates, finds, changes and deletes topics and subscriptions.

    Every method raises InvalidArgument for a malformed name and NotFound for an unknown one.
    `on_removal` is told when a backlog is gone with its subscription.
    """

    def __init__(
        self,
        clock: Clock,
        serials: Serials,
        store: Store,
        times: Timetable[Delivery],
        forward: Forward,
    ) -> None:
        self._clock = clock
        self._serials = serials
        self._store = store
        self._times = times
        self._forward = forward
        self.on_removal: Wake = _ignore
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}

    def create_topic(self, name: str, settings: TopicSettings) -> Topic:
        """Create a topic; raises AlreadyExists, InvalidArgument for a setting."""
        names.check_topic(name)
        if name in self._topics:
            raise AlreadyExists(name)
        settings.check()
        record = TopicRecord(next(self._serials), name, settings)
        self._store.save_topic(record)
        return self.add_topic(record)

    def add_topic(self, record: TopicRecord) -> Topic:
        """Take in a topic that is kept already."""
        topic = Topic(record)
        if not topic.deleted:
            self._topics[topic.name] = topic
        return topic

    def topic(self, name: str) -> Topic:
        """Return the topic of this name."""
        topic = self._topics.get(name)
        if topic is None:
            names.check_topic(name)
            raise NotFound(name)
        return topic

    def topics(self, project: str) -> list[Topic]:
        """Return the topics of `projects/{project}` in the order of their names."""
        return of_project(self._topics, project)

    def all_topics(self) -> list[Topic]:
        """Return the topics of all projects."""
        return list(self._topics.values())

    def update_topic(self, name: str, settings: TopicSettings) -> Topic:
        """Change settings."""
        topic = self.topic(name)
        settings.check()
        history_from = topic.history_start(settings)
        self._store.save_topic(replace(topic.record, settings=settings, history_from=history_from))
        topic.settings = settings
        return topic

    def delete_topic(self, name: str) -> None:
        """Delete a topic; its subscriptions keep their backlog."""
        topic = self.topic(name)
        self._store.save_topic(replace(topic.record, deleted=True))
        del self._topics[name]
        topic.delete()

    def create_subscription(
        self, name: str, topic_name: str, settings: SubscriptionSettings
    ) -> Subscription:
        """Create a subscription to what is published from now on.

        Raises AlreadyExists, NotFound for the topic, InvalidArgument for a setting.
        """
        names.check_subscription(name)
        topic = self.topic(topic_name)
        if name in self._subscriptions:
            raise AlreadyExists(name)
        settings.check()
        self._check_dead_letter_topic(settings)
        parse_filter(settings.filter)
        reader = topic.end()
        record = SubscriptionRecord(
            next(self._serials), name, topic.serial, settings, history_from=reader.next_sequence
        )
        self._store.add_subscription(record, floor=reader.next_sequence - 1)
        return self.add_subscription(record, topic, reader)

    def add_subscription(
        self, record: SubscriptionRecord, topic: Topic, reader: Reader
    ) -> Subscription:
        """Take in a subscription that is kept already; it owes what `reader` has not read."""
        settings = record.settings
        waiting = OrderedWaiting() if settings.enable_message_ordering else UnorderedWaiting()
        backlog = Backlog(reader, self._times, waiting, parse_filter(settings.filter))
        subscription = Subscription(record, topic, backlog, self._clock())
        backlog.forward = partial(self._forward, subscription)
        self._subscriptions[subscription.name] = subscription
        if not subscription.detached:
            topic.subscriptions[subscription.name] = subscription
        return subscription

    def subscription(self, name: str) -> Subscription:
        """Return the subscription of this name."""
        subscription = self._subscriptions.get(name)
        if subscription is None:
            names.check_subscription(name)
            raise NotFound(name)
        return subscription

    def subscriptions(self, project: str) -> list[Subscription]:
        """Return the subscriptions of `projects/{project}` in the order of their names."""
        return of_project(self._subscriptions, project)

    def all_subscriptions(self) -> list[Subscription]:
        """Return the subscriptions of all projects."""
        return list(self._subscriptions.values())

    def update_subscription(self, name: str, settings: SubscriptionSettings) -> Subscription:
        """Change settings; leases that run are not touched."""
        subscription = self.subscription(name)
        settings.check()
        if settings.dead_letter_policy != subscription.settings.dead_letter_policy:
            self._check_dead_letter_topic(settings)
        history_from = subscription.history_start(settings)
        self._store.save_subscription(
            replace(subscription.record, settings=settings, history_from=history_from)
        )
        subscription.settings = settings
        return subscription

    def detach_subscription(self, name: str) -> None:
        """Cut a subscription off from its topic; its backlog is lost."""
        subscription = self.subscription(name)
        self._store.save_subscription(replace(subscription.record, detached=True))
        subscription.topic.subscriptions.pop(name, None)
        subscription.detach()
        self.on_removal()

    def delete_subscription(self, name: str) -> None:
        """Delete a subscription with its backlog."""
        subscription = self.subscription(name)
        self._store.delete_subscription(subscription.serial)
        del self._subscriptions[name]
        subscription.topic.subscriptions.pop(name, None)
        subscription.delete()
        self.on_removal()

    def _check_dead_letter_topic(self, settings: SubscriptionSettings) -> None:
        if settings.dead_letter_policy is not None:
            self.topic(settings.dead_letter_policy.topic)


def _ignore() -> None:
    """Nobody wants to know of removals."""


def of_project(resources: Mapping[str, Resource], project: str) -> list[Resource]:
    """Return the resources of `projects/{project}` in the order of their names."""
    names.check_project(project)
    return [resources[name] for name in sorted(resources) if name.startswith(f"{project}/")]
