"""StreamingPull: messages go out while acknowledgements come in.

Source of all rules: `StreamingPullRequest` in google/pubsub/v1/pubsub.proto.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import grpc

from tf_dataflow_serving.services.pubsub.broker import Broker, Receiver
from tf_dataflow_serving.services.pubsub.deadlines import check_ack_deadline
from tf_dataflow_serving.services.pubsub.errors import (
    InvalidAckIds,
    InvalidArgument,
    PubSubError,
)
from tf_dataflow_serving.services.pubsub.protocol import codec, wire
from tf_dataflow_serving.services.pubsub.protocol.rpc import abort, serialize
from tf_dataflow_serving.services.pubsub.timetable import Wake

PINGS_SINCE_VERSION = 1
"""The `protocol_version` of clients that want every request without ack IDs answered.

Source: googleapis/google-cloud-go pull request 13457. Without an answer within 15 seconds
they take the stream for dead.
"""

_ONLY_IN_FIRST = (
    "subscription",
    "max_outstanding_messages",
    "max_outstanding_bytes",
    "protocol_version",
)


def streaming_pull(broker: Broker) -> Any:
    """Return the gRPC handler of StreamingPull."""

    async def behave(
        requests: AsyncIterator[wire.Proto], context: Any
    ) -> AsyncIterator[wire.Proto]:
        try:
            # A call that is cancelled while it sends must leave the subscription at once.
            async with aclosing(_respond(broker, requests)) as responses:
                async for response in responses:
                    yield response
        except PubSubError as error:
            await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(
        behave,
        request_deserializer=wire.StreamingPullRequest.FromString,
        response_serializer=serialize,
    )


async def _respond(
    broker: Broker, requests: AsyncIterator[wire.Proto]
) -> AsyncGenerator[wire.Proto]:
    opening = await anext(requests, None)
    if opening is None:
        return
    work = asyncio.Event()
    with broker.receive(opening.subscription, codec.flow_limits(opening), work.set) as receiver:
        stream = _Stream(broker, receiver, opening, work.set)
        incoming = asyncio.create_task(stream.obey(requests))
        incoming.add_done_callback(lambda _: work.set())
        try:
            while not incoming.done():
                work.clear()
                if response := stream.next_response():
                    yield response
                else:
                    await asyncio.sleep(0)  # An event that is set already does not suspend.
                    await work.wait()
            incoming.result()
        finally:
            incoming.cancel()


class _Stream:
    def __init__(self, broker: Broker, receiver: Receiver, opening: wire.Proto, wake: Wake) -> None:
        check_ack_deadline(opening.stream_ack_deadline_seconds)
        self._broker = broker
        self._receiver = receiver
        self._wake = wake
        self._ack_deadline_seconds: int = opening.stream_ack_deadline_seconds
        self._answers_pings: bool = opening.protocol_version >= PINGS_SINCE_VERSION
        self._answers: deque[wire.Proto] = deque()
        self._settle(opening)

    def next_response(self) -> wire.Proto | None:
        """Return an answer or messages that are available now, if there are any."""
        if self._answers:
            return self._answers.popleft()
        delivered = self._receiver.take(self._ack_deadline_seconds)
        if not delivered:
            return None
        response = self._response()
        codec.fill_received(response.received_messages, delivered)
        return response

    async def obey(self, requests: AsyncIterator[wire.Proto]) -> None:
        """Do what the client asks until it closes its side."""
        async for request in requests:
            _check_subsequent(request)
            self._change_ack_deadline(request.stream_ack_deadline_seconds)
            self._settle(request)
            if self._answers_pings and _is_ping(request):
                self._answer(self._response())

    def _change_ack_deadline(self, seconds: int) -> None:
        if seconds:
            check_ack_deadline(seconds)
            self._ack_deadline_seconds = seconds

    def _settle(self, request: wire.Proto) -> None:
        if request.ack_ids:
            self._acknowledge(request.ack_ids)
        if request.modify_deadline_ack_ids or request.modify_deadline_seconds:
            self._modify_ack_deadlines(request)

    def _acknowledge(self, ack_ids: Sequence[str]) -> None:
        with self._confirming("acknowledge_confirmation", ack_ids):
            self._broker.acknowledge(self._receiver.subscription.name, ack_ids)

    def _modify_ack_deadlines(self, request: wire.Proto) -> None:
        name, changes = self._receiver.subscription.name, codec.deadline_changes(request)
        with self._confirming("modify_ack_deadline_confirmation", request.modify_deadline_ack_ids):
            self._broker.modify_ack_deadlines(name, changes)

    @contextmanager
    def _confirming(self, kind: str, ack_ids: Iterable[str]) -> Iterator[None]:
        """Tell which ack IDs the broker took, and which not, if exactly-once delivery asks."""
        refused: Sequence[str] = ()
        try:
            yield
        except InvalidAckIds as error:
            refused = error.ack_ids
        if self._receiver.subscription.settings.enable_exactly_once_delivery:
            response = self._response()
            _fill_confirmation(getattr(response, kind), ack_ids, set(refused))
            self._answer(response)

    def _answer(self, response: wire.Proto) -> None:
        self._answers.append(response)
        self._wake()

    def _response(self) -> wire.Proto:
        settings = self._receiver.subscription.settings
        response = wire.StreamingPullResponse()
        properties = response.subscription_properties
        properties.message_ordering_enabled = settings.enable_message_ordering
        properties.exactly_once_delivery_enabled = settings.enable_exactly_once_delivery
        return response


def _is_ping(request: wire.Proto) -> bool:
    return not request.ack_ids and not request.modify_deadline_ack_ids


def _fill_confirmation(confirmation: wire.Proto, ack_ids: Iterable[str], refused: set[str]) -> None:
    for ack_id in ack_ids:
        chosen = confirmation.invalid_ack_ids if ack_id in refused else confirmation.ack_ids
        chosen.append(ack_id)


def _check_subsequent(request: wire.Proto) -> None:
    for field in _ONLY_IN_FIRST:
        if getattr(request, field):
            raise InvalidArgument(f"{field} can be set on the first request of a stream only.")
