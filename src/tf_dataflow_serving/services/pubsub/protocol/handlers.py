"""The gRPC edge: everything that the emulator answers."""

from collections.abc import Sequence
from typing import Any

import grpc

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.protocol import publisher, subscriber
from tf_dataflow_serving.services.pubsub.protocol.rpc import Unimplemented
from tf_dataflow_serving.services.pubsub.protocol.snapshots import snapshot_methods
from tf_dataflow_serving.services.pubsub.protocol.streaming import streaming_pull


def handlers(broker: Broker) -> Sequence[Any]:
    """Return gRPC handlers for every method: those of the broker, a refusal of all others."""
    subscriber_methods = {
        **subscriber.methods(broker),
        **snapshot_methods(broker),
        "StreamingPull": streaming_pull(broker),
    }
    return (
        grpc.method_handlers_generic_handler(publisher.SERVICE, publisher.methods(broker)),
        grpc.method_handlers_generic_handler(subscriber.SERVICE, subscriber_methods),
        Unimplemented(),
    )
