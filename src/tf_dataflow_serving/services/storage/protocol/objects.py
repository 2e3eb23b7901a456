"""The object methods of the JSON API, but for uploads."""

import base64
import binascii
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.storage.errors import InvalidArgument, ObjectNotFound
from tf_dataflow_serving.services.storage.listing import MAX_PAGE, ListQuery
from tf_dataflow_serving.services.storage.objects import Objects, Source
from tf_dataflow_serving.services.storage.preconditions import Preconditions
from tf_dataflow_serving.services.storage.protocol.downloads import download
from tf_dataflow_serving.services.storage.protocol.representation import (
    base_url,
    json_response,
    object_resource,
)
from tf_dataflow_serving.services.storage.protocol.requests import (
    integer,
    is_true,
    json_body,
    named_object,
    path_name,
    preconditions,
    refuse_unsupported,
    source_preconditions,
)
from tf_dataflow_serving.services.storage.resources import JsonObject, StoredObject
from tf_dataflow_serving.services.storage.uploads import Intent


class ObjectEndpoints:
    """Serves /storage/v1/b/{bucket}/o and /download/storage/v1/b/{bucket}/o."""

    def __init__(self, objects: Objects):
        self._objects = objects

    def routes(self) -> list[Route]:
        """Return the routes of all object methods."""
        all_objects = "/storage/v1/b/{bucket}/o"
        one = all_objects + "/{object}"
        to_other = "/b/{destination_bucket}/o/{destination_object}"
        return [
            Route(all_objects, self.list_objects, methods=["GET"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.patch, methods=["PATCH"]),
            Route(one, self.update, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(one + "/copyTo" + to_other, self.copy, methods=["POST"]),
            Route(one + "/rewriteTo" + to_other, self.rewrite, methods=["POST"]),
            Route(one + "/moveTo/o/{destination_object}", self.move, methods=["POST"]),
            Route(one + "/compose", self.compose, methods=["POST"]),
            Route("/download" + one, self.get_media, methods=["GET"]),
        ]

    async def list_objects(self, request: Request) -> Response:
        """Objects: list."""
        refuse_unsupported(request)
        bucket, query = path_name(request, "bucket"), _list_query(request)
        page = await run_in_threadpool(self._objects.list_page, bucket, query)
        listing: dict[str, Any] = {"kind": "storage#objects"}
        if page.items:
            base = base_url(request)
            listing["items"] = [object_resource(item, base) for item in page.items]
        if page.prefixes:
            listing["prefixes"] = page.prefixes
        if page.next_position is not None:
            listing["nextPageToken"] = _page_token(page.next_position)
        return json_response(listing)

    async def get(self, request: Request) -> Response:
        """Objects: get; with alt=media the content, else the metadata."""
        if request.query_params.get("alt") == "media":
            return await self.get_media(request)
        refuse_unsupported(request)
        source = named_object(request, preconditions(request))
        return _shown(request, await run_in_threadpool(self._objects.get, source))

    async def get_media(self, request: Request) -> Response:
        """Objects: get with alt=media."""
        refuse_unsupported(request)
        return await download(self._objects, named_object(request, preconditions(request)), request)

    async def patch(self, request: Request) -> Response:
        """Objects: patch."""
        changes = await json_body(request)
        refuse_unsupported(request)
        source = named_object(request, preconditions(request))
        return _shown(request, await run_in_threadpool(self._objects.patch, source, changes))

    async def update(self, request: Request) -> Response:
        """Objects: update."""
        resource = await json_body(request)
        refuse_unsupported(request)
        source = named_object(request, preconditions(request))
        return _shown(request, await run_in_threadpool(self._objects.replace, source, resource))

    async def delete(self, request: Request) -> Response:
        """Objects: delete."""
        source = named_object(request, preconditions(request))
        await run_in_threadpool(self._objects.delete, source)
        return Response(status_code=204)

    async def copy(self, request: Request) -> Response:
        """Objects: copy."""
        return _shown(request, await self._copied(request))

    async def rewrite(self, request: Request) -> Response:
        """Objects: rewrite; always done in one step, since both contents are here."""
        item = await self._copied(request)
        size = str(item.content.digest.size)
        answer = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": size,
            "objectSize": size,
            "done": True,
            "resource": object_resource(item, base_url(request)),
        }
        return json_response(answer)

    async def move(self, request: Request) -> Response:
        """Objects: move."""
        refuse_unsupported(request)
        source = _copy_source(request)
        intent = Intent(
            source.bucket,
            path_name(request, "destination_object"),
            preconditions=preconditions(request),
        )
        return _shown(request, await run_in_threadpool(self._objects.move, source, intent))

    async def compose(self, request: Request) -> Response:
        """Objects: compose."""
        body = await json_body(request)
        refuse_unsupported(request)
        bucket = path_name(request, "bucket")
        intent = Intent(
            bucket,
            path_name(request, "object"),
            _resource(body.get("destination")),
            preconditions(request),
        )
        sources = _compose_sources(bucket, body.get("sourceObjects"))
        return _shown(request, await run_in_threadpool(self._objects.compose, sources, intent))

    async def _copied(self, request: Request) -> StoredObject:
        resource = await json_body(request)
        refuse_unsupported(request)
        intent = Intent(
            path_name(request, "destination_bucket"),
            path_name(request, "destination_object"),
            resource,
            preconditions(request),
        )
        return await run_in_threadpool(self._objects.copy, _copy_source(request), intent)


def _shown(request: Request, item: StoredObject) -> Response:
    return json_response(object_resource(item, base_url(request)))


def _copy_source(request: Request) -> Source:
    return Source(
        bucket=path_name(request, "bucket"),
        name=path_name(request, "object"),
        generation=integer(request.query_params, "sourceGeneration"),
        preconditions=source_preconditions(request),
    )


def _list_query(request: Request) -> ListQuery:
    query = request.query_params
    wanted = integer(query, "maxResults")
    token = query.get("pageToken")
    return ListQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        start=query.get("startOffset", ""),
        end=query.get("endOffset"),
        glob=query.get("matchGlob"),
        include_trailing_delimiter=is_true(query, "includeTrailingDelimiter"),
        position=_position(token) if token else "",
        limit=MAX_PAGE if wanted is None else max(1, min(wanted, MAX_PAGE)),
    )


def _page_token(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode()


def _position(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(f"Invalid page token: {token!r}") from error


def _compose_sources(bucket: str, listed: Any) -> list[Source]:
    if not isinstance(listed, list):
        raise InvalidArgument("sourceObjects must be a list.")
    return [_compose_source(bucket, _resource(entry)) for entry in listed]


def _compose_source(bucket: str, entry: JsonObject) -> Source:
    name = entry.get("name")
    if not isinstance(name, str):
        raise ObjectNotFound(bucket, str(name))
    generation = integer(_texts(entry), "generation")
    wanted = integer(_texts(_resource(entry.get("objectPreconditions"))), "ifGenerationMatch")
    return Source(bucket, name, generation, Preconditions(generation_match=wanted))


def _texts(entry: JsonObject) -> dict[str, str]:
    return {name: str(value) for name, value in entry.items() if value is not None}


def _resource(value: Any) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"Expected a JSON object, not {value!r}")
    return value
