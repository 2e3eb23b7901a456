"""/v1/messages: what was published, and how far it is."""

from collections.abc import Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.control.requests import parsed_whole, query_fields
from tf_dataflow_serving.services.pubsub.control.responses import json_response, record_json
from tf_dataflow_serving.services.pubsub.journal import Record

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
PAGE_DATA_BYTES = 10_000_000
"""Message data on a page, at which it ends: a thousand messages may have 10 GB."""


class MessageEndpoints:
    """Lists the journal; makes it and the backlogs empty."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/v1/messages", self.list_messages, methods=["GET"]),
            Route("/v1/messages", self.clear_messages, methods=["DELETE"]),
        ]

    async def list_messages(self, request: Request) -> Response:
        """Return a page of messages in the order of their publication."""
        fields = query_fields(request)
        topic, subscription = fields.text("topic"), fields.text("subscription")
        size = parsed_whole("page_size", fields.text("page_size") or "0")
        after = parsed_whole("page_token", fields.text("page_token") or "0")
        fields.finish()
        found = self._records(topic, subscription)
        page, token = _page((one for one in found if one.message.sequence > after), size)
        return json_response(
            {
                "messages": [record_json(record, subscription) for record in page],
                "next_page_token": token,
                "forgotten": self._broker.journal.forgotten,
            }
        )

    async def clear_messages(self, request: Request) -> Response:
        """Forget all messages, or drop the backlog of one subscription."""
        fields = query_fields(request)
        name = fields.text("subscription")
        fields.finish()
        self._broker.clear(name or None)
        return json_response({})

    def _records(self, topic: str, subscription: str) -> Iterable[Record]:
        """Return the records of a topic, and delivered on a subscription, if these are named."""
        if topic:
            self._broker.catalog.topic(topic)
        records = self._broker.journal.records(topic)
        if not subscription:
            return records
        self._broker.catalog.subscription(subscription)
        return (record for record in records if subscription in record.progress())


def _page(records: Iterable[Record], size: int) -> tuple[Sequence[Record], str]:
    """Return the first records and the token for those after them, empty if there are none."""
    wanted = min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    page: list[Record] = []
    data_bytes = 0
    for record in records:
        if len(page) == wanted or data_bytes >= PAGE_DATA_BYTES:
            return page, str(page[-1].message.sequence)
        page.append(record)
        data_bytes += len(record.message.content.data)
    return page, ""
