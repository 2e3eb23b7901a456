"""The topics and subscriptions that exist, by name."""

from collections.abc import Mapping
from itertools import count
from typing import TypeVar

from tf_dataflow_serving.services.pubsub import names
from tf_dataflow_serving.services.pubsub.backlog import Backlog
from tf_dataflow_serving.services.pubsub.deadlines import check_ack_deadline
from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.errors import AlreadyExists, NotFound
from tf_dataflow_serving.services.pubsub.filter import parse_filter
from tf_dataflow_serving.services.pubsub.resources import (
    Subscription,
    SubscriptionSettings,
    Topic,
    TopicSettings,
)
from tf_dataflow_serving.services.pubsub.timetable import Timetable
from tf_dataflow_serving.services.pubsub.waiting import OrderedWaiting, UnorderedWaiting

Resource = TypeVar("Resource", Topic, Subscription)


class Catalog:
    """Creates, finds, changes and deletes topics and subscriptions.

    Every method raises InvalidArgument for a malformed name and NotFound for an unknown one.
    """

    def __init__(self, leases: Timetable[Delivery]) -> None:
        self._leases = leases
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._serials = count(1)

    def create_topic(self, name: str, settings: TopicSettings) -> Topic:
        """Create a topic; raises AlreadyExists."""
        names.check_topic(name)
        if name in self._topics:
            raise AlreadyExists(name)
        topic = self._topics[name] = Topic(name, settings)
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
        return _of_project(self._topics, project)

    def delete_topic(self, name: str) -> None:
        """Delete a topic; its subscriptions keep their backlog."""
        topic = self.topic(name)
        del self._topics[name]
        for subscription in topic.subscriptions.values():
            subscription.forget_topic()

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
        check_ack_deadline(settings.ack_deadline_seconds)
        backlog = self._backlog(topic, settings)
        subscription = Subscription(name, next(self._serials), topic, settings, backlog)
        self._subscriptions[name] = topic.subscriptions[name] = subscription
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
        return _of_project(self._subscriptions, project)

    def update_subscription(self, name: str, settings: SubscriptionSettings) -> Subscription:
        """Change settings; leases that run are not touched."""
        subscription = self.subscription(name)
        check_ack_deadline(settings.ack_deadline_seconds)
        subscription.settings = settings
        return subscription

    def detach_subscription(self, name: str) -> None:
        """Cut a subscription off from its topic; its backlog is lost."""
        subscription = self.subscription(name)
        self._leave_topic(subscription)
        subscription.detach()

    def delete_subscription(self, name: str) -> None:
        """Delete a subscription with its backlog."""
        subscription = self.subscription(name)
        self._leave_topic(subscription)
        del self._subscriptions[name]
        subscription.delete()

    def _backlog(self, topic: Topic, settings: SubscriptionSettings) -> Backlog:
        waiting = OrderedWaiting() if settings.enable_message_ordering else UnorderedWaiting()
        return Backlog(topic.log, self._leases, waiting, parse_filter(settings.filter))

    def _leave_topic(self, subscription: Subscription) -> None:
        topic = self._topics.get(subscription.topic_name)
        if topic is not None:
            topic.subscriptions.pop(subscription.name, None)


def _of_project(resources: Mapping[str, Resource], project: str) -> list[Resource]:
    names.check_project(project)
    return [resources[name] for name in sorted(resources) if name.startswith(f"{project}/")]
