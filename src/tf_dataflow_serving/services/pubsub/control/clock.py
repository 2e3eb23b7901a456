"""/v1/clock: the time, and the way to what would be due much later."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.clock import SECOND, MovableClock
from tf_dataflow_serving.services.pubsub.control.requests import body_fields
from tf_dataflow_serving.services.pubsub.control.responses import json_response, rfc3339

MAX_ADVANCE_SECONDS = 10 * 365 * 86_400


class ClockEndpoints:
    """Tells the broker's time and moves it forward."""

    def __init__(self, broker: Broker, clock: MovableClock) -> None:
        self._broker = broker
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/v1/clock", self.tell, methods=["GET"]),
            Route("/v1/clock", self.advance, methods=["POST"]),
        ]

    async def tell(self, _: Request) -> Response:
        """Return the time."""
        return json_response({"now": rfc3339(self._clock())})

    async def advance(self, request: Request) -> Response:
        """Move the clock and answer when all that became due has happened."""
        fields = await body_fields(request)
        seconds = fields.number_within("advance_seconds", MAX_ADVANCE_SECONDS)
        fields.finish()
        self._clock.advance(int(seconds * SECOND))
        await self._catch_up(self._clock())
        return json_response({"now": rfc3339(self._clock())})

    async def _catch_up(self, time: int) -> None:
        """Do in small parts, between which others get their turn, what is due by a time."""
        while self._broker.next_due() <= time:
            self._broker.run_due()
            await asyncio.sleep(0)
