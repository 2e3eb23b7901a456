"""The broker's values, and errors, as JSON."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tf_dataflow_serving.services.pubsub import errors
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.faults import InjectedFault
from tf_dataflow_serving.services.pubsub.journal import Record
from tf_dataflow_serving.services.pubsub.resources import Subscription

Json = Mapping[str, Any]

_STATUS: Mapping[type[Exception], int] = {
    errors.InvalidArgument: 400,
    errors.NotFound: 404,
    errors.StorageFailed: 500,
    ClientDisconnect: 400,
}


def json_response(content: Json) -> Response:
    """Return a response with status 200."""
    return Response(orjson.dumps(content), media_type="application/json")


def record_json(record: Record, subscription: str) -> Json:
    """Write a message with its progress on one subscription, or on all."""
    data, attributes, ordering_key = record.message.content
    return {
        "topic": record.topic,
        "message_id": record.message.message_id,
        "publish_time": rfc3339(record.message.publish_time),
        "data": base64.b64encode(data).decode(),
        "attributes": dict(attributes),
        "ordering_key": ordering_key,
        "subscriptions": {
            name: progress._asdict()
            for name, progress in record.progress().items()
            if subscription in ("", name)
        },
    }


def subscription_json(subscription: Subscription) -> Json:
    """Write what a subscription owes."""
    size = subscription.backlog.size()
    return {
        "name": subscription.name,
        "topic": subscription.topic.name,
        "unacknowledged": size.unacknowledged,
        "out": size.out,
    }


def fault_json(injected: InjectedFault) -> Json:
    """Write a fault and how often it has struck."""
    fault = injected.fault
    return {
        "id": injected.id,
        "method": fault.method,
        "code": fault.code,
        "message": fault.message,
        "delay_seconds": fault.delay_seconds,
        "count": fault.count,
        "probability": fault.probability,
        "struck": injected.struck,
    }


def rfc3339(time: int) -> str:
    """Write nanoseconds since the Unix epoch, without loss."""
    seconds, nanoseconds = divmod(time, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"


async def failure(_: Request, error: Exception) -> Response:
    """Answer what the broker, or the reading of the request, refused."""
    return _error_response(_STATUS[type(error)], str(error))


async def no_such_route(request: Request, error: Exception) -> Response:
    """Answer a path or method that does not exist."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these alone
    message = f"{error.detail}: {request.method} {request.url.path}"
    return _error_response(error.status_code, message)


async def internal_error(_: Request, error: Exception) -> Response:
    """Answer a fault of the emulator itself; its log has the rest."""
    return _error_response(500, f"Internal error: {type(error).__name__}")


def _error_response(status: int, message: str) -> Response:
    content = orjson.dumps({"error": {"message": message}})
    return Response(content, status, media_type="application/json")
