"""All routes as one application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import MovableClock
from tf_dataflow_serving.services.pubsub.control.clock import ClockEndpoints
from tf_dataflow_serving.services.pubsub.control.faults import FaultEndpoints
from tf_dataflow_serving.services.pubsub.control.messages import MessageEndpoints
from tf_dataflow_serving.services.pubsub.control.responses import (
    failure,
    internal_error,
    no_such_route,
)
from tf_dataflow_serving.services.pubsub.control.subscriptions import SubscriptionEndpoints
from tf_dataflow_serving.services.pubsub.errors import PubSubError
from tf_dataflow_serving.services.pubsub.faults import Faults


def application(broker: Broker, faults: Faults, clock: MovableClock) -> Starlette:
    """Return the application that controls a broker, its faults and its clock."""
    return Starlette(
        routes=[
            *MessageEndpoints(broker).routes(),
            *SubscriptionEndpoints(broker).routes(),
            *FaultEndpoints(faults).routes(),
            *ClockEndpoints(broker, clock).routes(),
        ],
        exception_handlers={
            PubSubError: failure,
            ClientDisconnect: failure,
            HTTPException: no_such_route,
            Exception: internal_error,
        },
    )
