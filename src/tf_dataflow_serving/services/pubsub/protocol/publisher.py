"""The methods of google.pubsub.v1.Publisher."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.protocol import codec, resource_codec, wire
from tf_dataflow_serving.services.pubsub.protocol.paging import paginate
from tf_dataflow_serving.services.pubsub.protocol.rpc import unary

SERVICE = "google.pubsub.v1.Publisher"


def methods(broker: Broker) -> Mapping[str, Any]:
    """Return the gRPC handlers by method name."""
    publisher = _Publisher(broker)
    return {
        "CreateTopic": unary(publisher.create_topic, wire.Topic),
        "GetTopic": unary(publisher.get_topic, wire.GetTopicRequest),
        "UpdateTopic": unary(publisher.update_topic, wire.UpdateTopicRequest),
        "ListTopics": unary(publisher.list_topics, wire.ListTopicsRequest),
        "ListTopicSubscriptions": unary(
            publisher.list_topic_subscriptions, wire.ListTopicSubscriptionsRequest
        ),
        "ListTopicSnapshots": unary(publisher.list_topic_snapshots, wire.ListTopicSnapshotsRequest),
        "DeleteTopic": unary(publisher.delete_topic, wire.DeleteTopicRequest),
        "DetachSubscription": unary(publisher.detach_subscription, wire.DetachSubscriptionRequest),
        "Publish": unary(publisher.publish, wire.PublishRequest),
    }


class _Publisher:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._catalog = broker.catalog

    def create_topic(self, request: wire.Proto) -> wire.Proto:
        settings = resource_codec.topic_settings(request)
        return resource_codec.encode_topic(self._catalog.create_topic(request.name, settings))

    def get_topic(self, request: wire.Proto) -> wire.Proto:
        return resource_codec.encode_topic(self._catalog.topic(request.topic))

    def update_topic(self, request: wire.Proto) -> wire.Proto:
        name = request.topic.name
        settings = resource_codec.updated_topic(self._catalog.topic(name), request)
        return resource_codec.encode_topic(self._catalog.update_topic(name, settings))

    def list_topics(self, request: wire.Proto) -> wire.Proto:
        topics = self._catalog.topics(request.project)
        page = paginate(topics, attrgetter("name"), request.page_size, request.page_token)
        return wire.ListTopicsResponse(
            topics=map(resource_codec.encode_topic, page.items), next_page_token=page.next_token
        )

    def list_topic_subscriptions(self, request: wire.Proto) -> wire.Proto:
        names = sorted(self._catalog.topic(request.topic).subscriptions)
        page = paginate(names, str, request.page_size, request.page_token)
        return wire.ListTopicSubscriptionsResponse(
            subscriptions=page.items, next_page_token=page.next_token
        )

    def list_topic_snapshots(self, request: wire.Proto) -> wire.Proto:
        snapshots = self._broker.snapshots.of_topic(self._catalog.topic(request.topic))
        names = [snapshot.name for snapshot in snapshots]
        page = paginate(names, str, request.page_size, request.page_token)
        return wire.ListTopicSnapshotsResponse(
            snapshots=page.items, next_page_token=page.next_token
        )

    def delete_topic(self, request: wire.Proto) -> wire.Proto:
        self._catalog.delete_topic(request.topic)
        return wire.Empty()

    def detach_subscription(self, request: wire.Proto) -> wire.Proto:
        self._catalog.detach_subscription(request.subscription)
        return wire.DetachSubscriptionResponse()

    def publish(self, request: wire.Proto) -> wire.Proto:
        codec.check_publish_size(request)
        message_ids = self._broker.publish(request.topic, codec.drafts(request))
        return wire.PublishResponse(message_ids=message_ids)
