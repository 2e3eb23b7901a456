"""The methods of google.pubsub.v1.Subscriber, but for the stream and the snapshots."""

import asyncio
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from tf_dataflow_serving.services.pubsub.broker import Broker, Receiver
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import Delivered
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.pubsub.protocol import codec, resource_codec, wire
from tf_dataflow_serving.services.pubsub.protocol.paging import paginate
from tf_dataflow_serving.services.pubsub.protocol.rpc import unary, waiting_unary

SERVICE = "google.pubsub.v1.Subscriber"

PULL_WAIT_SECONDS = 5.0
"""How long a pull waits for a message before it answers with none.

The documentation says "a bounded amount of time". Beam's direct runner pulls in its only
worker thread, with a deadline of 30 s: no timer of the pipeline fires meanwhile.
"""


def methods(broker: Broker) -> Mapping[str, Any]:
    """Return the gRPC handlers by method name."""
    subscriber = _Subscriber(broker)
    return {
        "CreateSubscription": unary(subscriber.create_subscription, wire.Subscription),
        "GetSubscription": unary(subscriber.get_subscription, wire.GetSubscriptionRequest),
        "UpdateSubscription": unary(subscriber.update_subscription, wire.UpdateSubscriptionRequest),
        "ListSubscriptions": unary(subscriber.list_subscriptions, wire.ListSubscriptionsRequest),
        "DeleteSubscription": unary(subscriber.delete_subscription, wire.DeleteSubscriptionRequest),
        "Pull": waiting_unary(subscriber.pull, wire.PullRequest),
        "Acknowledge": unary(subscriber.acknowledge, wire.AcknowledgeRequest),
        "ModifyAckDeadline": unary(subscriber.modify_ack_deadline, wire.ModifyAckDeadlineRequest),
        "ModifyPushConfig": unary(subscriber.modify_push_config, wire.ModifyPushConfigRequest),
        "Seek": unary(subscriber.seek, wire.SeekRequest),
    }


class _Subscriber:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._catalog = broker.catalog

    def create_subscription(self, request: wire.Proto) -> wire.Proto:
        settings = resource_codec.subscription_settings(request)
        subscription = self._catalog.create_subscription(request.name, request.topic, settings)
        return resource_codec.encode_subscription(subscription)

    def get_subscription(self, request: wire.Proto) -> wire.Proto:
        return resource_codec.encode_subscription(self._catalog.subscription(request.subscription))

    def update_subscription(self, request: wire.Proto) -> wire.Proto:
        name = request.subscription.name
        subscription = self._catalog.subscription(name)
        settings = resource_codec.updated_subscription(subscription, request)
        return resource_codec.encode_subscription(self._catalog.update_subscription(name, settings))

    def list_subscriptions(self, request: wire.Proto) -> wire.Proto:
        subscriptions = self._catalog.subscriptions(request.project)
        page = paginate(subscriptions, attrgetter("name"), request.page_size, request.page_token)
        return wire.ListSubscriptionsResponse(
            subscriptions=map(resource_codec.encode_subscription, page.items),
            next_page_token=page.next_token,
        )

    def delete_subscription(self, request: wire.Proto) -> wire.Proto:
        self._catalog.delete_subscription(request.subscription)
        return wire.Empty()

    def acknowledge(self, request: wire.Proto) -> wire.Proto:
        self._catalog.subscription(request.subscription)
        codec.check_acknowledgement(request)
        self._broker.acknowledge(request.subscription, request.ack_ids)
        return wire.Empty()

    def modify_ack_deadline(self, request: wire.Proto) -> wire.Proto:
        self._catalog.subscription(request.subscription)
        codec.check_acknowledgement(request)
        seconds = request.ack_deadline_seconds
        changes = ((ack_id, seconds) for ack_id in request.ack_ids)
        self._broker.modify_ack_deadlines(request.subscription, changes)
        return wire.Empty()

    def modify_push_config(self, request: wire.Proto) -> wire.Proto:
        """Answer what asks for pull, which every subscription is delivered by already."""
        self._catalog.subscription(request.subscription)
        if request.push_config.ByteSize():
            raise Unsupported("Subscription.push_config")
        return wire.Empty()

    def seek(self, request: wire.Proto) -> wire.Proto:
        target = request.WhichOneof("target")
        if target == "snapshot":
            self._broker.seek_to_snapshot(request.subscription, request.snapshot)
        elif target == "time":
            self._broker.seek_to_time(request.subscription, codec.nanoseconds(request.time))
        else:
            raise InvalidArgument("The seek request must name a time or a snapshot.")
        return wire.SeekResponse()

    async def pull(self, request: wire.Proto) -> wire.Proto:
        self._catalog.subscription(request.subscription)
        if request.max_messages <= 0:
            raise InvalidArgument(
                f"Invalid max_messages given ({request.max_messages}). It must be positive."
            )
        wait = 0.0 if request.return_immediately else PULL_WAIT_SECONDS
        available = asyncio.Event()
        flow = FlowLimits(messages=request.max_messages)
        with self._broker.receive(request.subscription, flow, available.set) as receiver:
            delivered = receiver.take() or await _wait(receiver, available, wait)
        response = wire.PullResponse()
        codec.fill_received(response.received_messages, delivered)
        return response


async def _wait(receiver: Receiver, available: asyncio.Event, seconds: float) -> list[Delivered]:
    """Take messages as soon as there are any, or none after a time."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await asyncio.sleep(0)  # An event that is set already does not suspend.
                await available.wait()
                available.clear()
                if delivered := receiver.take():
                    return delivered
    except TimeoutError:
        return []
