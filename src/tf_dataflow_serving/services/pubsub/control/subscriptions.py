"""/v1/subscriptions and /v1/wait: what is still to be acknowledged."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.control.requests import body_fields
from tf_dataflow_serving.services.pubsub.control.responses import (
    Json,
    json_response,
    subscription_json,
)
from tf_dataflow_serving.services.pubsub.resources import Subscription

DEFAULT_WAIT_SECONDS = 30
MAX_WAIT_SECONDS = 3_600


class SubscriptionEndpoints:
    """Lists subscriptions; waits until they owe nothing."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/v1/subscriptions", self.list_subscriptions, methods=["GET"]),
            Route("/v1/wait", self.wait, methods=["POST"]),
        ]

    async def list_subscriptions(self, _: Request) -> Response:
        """Return all subscriptions of all projects."""
        subscriptions = self._broker.catalog.all_subscriptions()
        return json_response({"subscriptions": [subscription_json(one) for one in subscriptions]})

    async def wait(self, request: Request) -> Response:
        """Answer when all is acknowledged, or after a time."""
        fields = await body_fields(request)
        name = fields.text("subscription")
        seconds = fields.number_within("timeout_seconds", MAX_WAIT_SECONDS, DEFAULT_WAIT_SECONDS)
        fields.finish()
        await _wait_for_either(self._wait_until_empty(name), _disconnection(request), seconds)
        return json_response(self._outcome(name))

    async def _wait_until_empty(self, name: str) -> None:
        changed = asyncio.Event()
        with self._broker.watch(changed.set):
            while not all(one.backlog.is_empty() for one in self._chosen(name)):
                changed.clear()
                await changed.wait()

    def _outcome(self, name: str) -> Json:
        sizes = {one.name: one.backlog.size().unacknowledged for one in self._chosen(name)}
        pending = {subscription: size for subscription, size in sizes.items() if size}
        return {"acknowledged": False, "pending": pending} if pending else {"acknowledged": True}

    def _chosen(self, name: str) -> Sequence[Subscription]:
        """Return the subscription of this name, all if it is empty; raises NotFound."""
        catalog = self._broker.catalog
        return [catalog.subscription(name)] if name else catalog.all_subscriptions()


async def _wait_for_either(
    first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None], seconds: float
) -> None:
    """Return when one of two is done, or after a time; the other one is cancelled."""
    tasks = [asyncio.create_task(first), asyncio.create_task(second)]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _disconnection(request: Request) -> None:
    """Wait until nobody waits for the answer any more."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
