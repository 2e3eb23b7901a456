"""Lets online predictions suffer their fates; all other requests pass by."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tf_dataflow_serving.services.prediction.faults.connections import Connections
from tf_dataflow_serving.services.prediction.faults.fates import Fate
from tf_dataflow_serving.services.prediction.faults.injection import Faults
from tf_dataflow_serving.services.prediction.faults.outages import Outages
from tf_dataflow_serving.services.prediction.faults.responses import refusal_response

_PREDICTIONS = (":predict", ":rawPredict")
_DRIPS = 20


class FaultInjection:
    """Stands before an application; without a plan in force it costs next to nothing."""

    def __init__(
        self, app: ASGIApp, faults: Faults, connections: Connections, outages: Outages
    ) -> None:
        self._app = app
        self._faults = faults
        self._connections = connections
        self._outages = outages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, by ASGI."""
        injection = self._faults.injection
        if injection is None or not _is_prediction(scope):
            await self._app(scope, receive, send)
            return
        with injection.request() as fate:
            await self._suffer(fate, scope, receive, send)

    async def _suffer(self, fate: Fate, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["client"]
        if fate.away_seconds is not None:
            self._outages.begin(fate.away_seconds)
            await self._connections.gone(client)
        elif fate.reset:
            await _drain(receive)
            self._connections.reset(client)
            await self._connections.gone(client)
        elif await self._connections.stay(client, fate.delay_seconds):
            await self._answer(fate, scope, receive, send)

    async def _answer(self, fate: Fate, scope: Scope, receive: Receive, send: Send) -> None:
        if fate.refusal is not None:
            await _drain(receive)
            await refusal_response(scope["path"], fate.refusal)(scope, receive, send)
        elif fate.truncated:
            await self._app(scope, receive, _Truncated(send, scope["client"], self._connections))
        elif fate.drip_seconds:
            dripping = _Dripping(send, scope["client"], self._connections, fate.drip_seconds)
            await self._app(scope, receive, dripping)
        else:
            await self._app(scope, receive, send)


class _Truncated:
    """Sends the headers and half of the body, and ends the connection."""

    def __init__(self, send: Send, client: tuple[str, int], connections: Connections) -> None:
        self._send = send
        self._client = client
        self._connections = connections

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body":
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await self._send(message)
        if body:
            self._connections.close(self._client)
            await self._connections.gone(self._client)


class _Dripping:
    """Sends the body piece by piece."""

    def __init__(
        self, send: Send, client: tuple[str, int], connections: Connections, seconds: float
    ) -> None:
        self._send = send
        self._client = client
        self._connections = connections
        self._seconds = seconds

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        size = len(body) // _DRIPS + 1
        starts = range(0, len(body), size)
        for start in starts:
            piece = {**message, "body": body[start : start + size], "more_body": True}
            await self._send(piece)
            if not await self._connections.stay(self._client, self._seconds / len(starts)):
                return
        await self._send({**message, "body": b""} if body else message)


def _is_prediction(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return path.endswith(_PREDICTIONS) and scope["method"] == "POST"


async def _drain(receive: Receive) -> None:
    """Read the body to its end: a client that still sends would see something else."""
    while (await receive()).get("more_body"):
        continue
