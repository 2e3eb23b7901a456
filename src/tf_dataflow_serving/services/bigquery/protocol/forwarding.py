"""Requests that go on to the emulator behind the gateway, and its lists in pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import Response

from tf_dataflow_serving.services.bigquery.errors import BackendFailed
from tf_dataflow_serving.services.bigquery.paging import page_behind
from tf_dataflow_serving.services.bigquery.protocol.rest import integer, json_response, relayed

_ALL = {"maxResults": str(2**31 - 1)}
_LATEST = 10**15
Admits = Callable[[Mapping[str, Any]], bool]


def _everything(_item: Mapping[str, Any]) -> bool:
    return True


def _place_of_job(job: Mapping[str, Any]) -> str:
    """The newest come first."""
    age = _LATEST - int(job["statistics"]["creationTime"])
    return f"{age:016d} {job['jobReference']['jobId']}"


_PLACES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "datasets": lambda dataset: str(dataset["datasetReference"]["datasetId"]),
    "tables": lambda table: str(table["tableReference"]["tableId"]),
    "jobs": _place_of_job,
}


@dataclass(frozen=True)
class Emulator:
    """The emulator that `client` reaches, in this process or elsewhere."""

    client: httpx.AsyncClient

    async def send(
        self,
        request: Request,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request on, with another body or query if given; raises BackendFailed."""
        content = await request.body() if body is None else orjson.dumps(body)
        query = request.url.query if params is None else urlencode(params)
        headers = [pair for pair in request.headers.raw if pair[0] != b"content-length"]
        try:
            return await self.client.request(
                request.method,
                request.url.path + (f"?{query}" if query else ""),
                content=content,
                headers=headers,
            )
        except httpx.HTTPError as error:
            raise BackendFailed(f"The BigQuery emulator did not answer: {error!r}") from error

    async def listing(self, request: Request, kind: str, admits: Admits = _everything) -> Response:
        """Answer with a page of the items of a list that are admitted."""
        query = request.query_params
        response = await self.send(request, params={**query, **_ALL})
        if response.is_error:
            return relayed(response)
        listing = response.json()
        items: Sequence[Any] = [item for item in listing.pop(kind, None) or () if admits(item)]
        size, token = integer(query.get("maxResults")), query.get("pageToken")
        page = page_behind(items, size, token, _PLACES[kind])
        listing |= {"totalItems": len(items), **({kind: page.items} if page.items else {})}
        following = {"nextPageToken": page.next_token} if page.next_token else {}
        return json_response({**listing, **following})
