"""The gRPC edge: everything that the emulator answers."""

from collections.abc import Sequence
from typing import Any

import grpc

from tf_dataflow_serving.services.pubsub import publisher, subscriber
from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.rpc import Unimplemented


def handlers(broker: Broker) -> Sequence[Any]:
    """Return gRPC handlers for every method: those of the broker, a refusal of all others."""
    return (
        grpc.method_handlers_generic_handler(publisher.SERVICE, publisher.methods(broker)),
        grpc.method_handlers_generic_handler(subscriber.SERVICE, subscriber.methods(broker)),
        Unimplemented(),
    )
