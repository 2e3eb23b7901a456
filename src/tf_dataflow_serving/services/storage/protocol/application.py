"""All routes as one application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from tf_dataflow_serving.services.storage.errors import StorageError
from tf_dataflow_serving.services.storage.protocol.batch import BatchEndpoint
from tf_dataflow_serving.services.storage.protocol.buckets import BucketEndpoints
from tf_dataflow_serving.services.storage.protocol.failures import (
    client_gone,
    internal_failure,
    routing_failure,
    storage_failure,
)
from tf_dataflow_serving.services.storage.protocol.objects import ObjectEndpoints
from tf_dataflow_serving.services.storage.protocol.uploads import UploadEndpoints
from tf_dataflow_serving.services.storage.protocol.xml import XmlEndpoints
from tf_dataflow_serving.services.storage.storage import Storage


def application(storage: Storage) -> ASGIApp:
    """Return the application that serves a storage."""
    calls = Starlette(
        routes=[
            *BucketEndpoints(storage.buckets).routes(),
            *ObjectEndpoints(storage.objects).routes(),
            *UploadEndpoints(storage.objects, storage.resumable).routes(),
            *XmlEndpoints(storage.objects, storage.multipart).routes(),
        ],
        exception_handlers={
            StorageError: storage_failure,
            HTTPException: routing_failure,
            ClientDisconnect: client_gone,
            Exception: internal_failure,
        },
    )
    # A slash at the end belongs to the name before it.
    calls.router.redirect_slashes = False
    calls.router.routes[:0] = BatchEndpoint(_ByEncodedPath(calls)).routes()
    return _ByEncodedPath(calls)


class _ByEncodedPath:
    """Routes by the path as it was sent: a slash in an object's name is %2F there."""

    def __init__(self, inner: ASGIApp):
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "raw_path" in scope:
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        await self._inner(scope, receive, send)
