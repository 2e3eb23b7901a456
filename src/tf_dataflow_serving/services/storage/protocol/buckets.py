"""The bucket methods of the JSON API."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.storage.buckets import Buckets
from tf_dataflow_serving.services.storage.errors import InvalidArgument
from tf_dataflow_serving.services.storage.protocol.representation import (
    base_url,
    bucket_resource,
    json_response,
)
from tf_dataflow_serving.services.storage.protocol.requests import (
    integer,
    json_body,
    path_name,
    preconditions,
    refuse_unsupported,
)
from tf_dataflow_serving.services.storage.resources import Bucket

_MAX_PAGE = 1000


class BucketEndpoints:
    """Serves /storage/v1/b; authorisation is not emulated: everyone may do everything."""

    def __init__(self, buckets: Buckets):
        self._buckets = buckets

    def routes(self) -> list[Route]:
        """Return the routes of all bucket methods."""
        bucket = "/storage/v1/b/{bucket}"
        return [
            Route("/storage/v1/b", self.list_buckets, methods=["GET"]),
            Route("/storage/v1/b", self.insert, methods=["POST"]),
            Route(bucket, self.get, methods=["GET"]),
            Route(bucket, self.patch, methods=["PATCH"]),
            Route(bucket, self.update, methods=["PUT"]),
            Route(bucket, self.delete, methods=["DELETE"]),
            Route(bucket + "/iam", self.get_iam_policy, methods=["GET"]),
            Route(bucket + "/iam/testPermissions", self.test_iam_permissions, methods=["GET"]),
            Route(bucket + "/storageLayout", self.storage_layout, methods=["GET"]),
        ]

    async def list_buckets(self, request: Request) -> Response:
        """Buckets: list; the page token is the last bucket's name on the page before."""
        refuse_unsupported(request)
        query = request.query_params
        limit = max(1, min(integer(query, "maxResults") or _MAX_PAGE, _MAX_PAGE))
        found = await run_in_threadpool(
            self._buckets.list_page,
            _project(request),
            query.get("prefix", ""),
            query.get("pageToken", ""),
            limit + 1,
        )
        page, more = found[:limit], found[limit:]
        token = {"nextPageToken": page[-1].name} if more else {}
        items = [bucket_resource(bucket, base_url(request)) for bucket in page]
        return json_response({"kind": "storage#buckets", "items": items, **token})

    async def insert(self, request: Request) -> Response:
        """Buckets: insert."""
        resource = await json_body(request)
        name = resource.get("name")
        if not isinstance(name, str):
            raise InvalidArgument("Required bucket name is missing.")
        project = _project(request)
        return _shown(
            request, await run_in_threadpool(self._buckets.create, name, project, resource)
        )

    async def get(self, request: Request) -> Response:
        """Buckets: get."""
        refuse_unsupported(request)
        name, conditions = path_name(request, "bucket"), preconditions(request)
        return _shown(request, await run_in_threadpool(self._buckets.get, name, conditions))

    async def patch(self, request: Request) -> Response:
        """Buckets: patch."""
        changes = await json_body(request)
        name, conditions = path_name(request, "bucket"), preconditions(request)
        changed = await run_in_threadpool(self._buckets.patch, name, changes, conditions)
        return _shown(request, changed)

    async def update(self, request: Request) -> Response:
        """Buckets: update."""
        resource = await json_body(request)
        name, conditions = path_name(request, "bucket"), preconditions(request)
        changed = await run_in_threadpool(self._buckets.replace, name, resource, conditions)
        return _shown(request, changed)

    async def delete(self, request: Request) -> Response:
        """Buckets: delete."""
        name, conditions = path_name(request, "bucket"), preconditions(request)
        await run_in_threadpool(self._buckets.delete, name, conditions)
        return Response(status_code=204)

    async def get_iam_policy(self, request: Request) -> Response:
        """Buckets: getIamPolicy; there is nothing to bind where everyone may do everything."""
        bucket = await run_in_threadpool(self._buckets.get, path_name(request, "bucket"))
        policy = {
            "kind": "storage#policy",
            "resourceId": f"projects/_/buckets/{bucket.name}",
            "version": 1,
            "etag": bucket.etag,
            "bindings": [],
        }
        return json_response(policy)

    async def test_iam_permissions(self, request: Request) -> Response:
        """Buckets: testIamPermissions; every permission that is asked for is held."""
        await run_in_threadpool(self._buckets.get, path_name(request, "bucket"))
        permissions = request.query_params.getlist("permissions")
        return json_response(
            {"kind": "storage#testIamPermissionsResponse", "permissions": permissions}
        )

    async def storage_layout(self, request: Request) -> Response:
        """Buckets: getStorageLayout; no bucket is hierarchical."""
        bucket = await run_in_threadpool(self._buckets.get, path_name(request, "bucket"))
        shown = bucket_resource(bucket, base_url(request))
        layout = {
            "kind": "storage#storageLayout",
            "bucket": bucket.name,
            "location": shown["location"],
            "locationType": shown["locationType"],
            "hierarchicalNamespace": {"enabled": False},
        }
        return json_response(layout)


def _project(request: Request) -> str:
    project = request.query_params.get("project")
    if not project:
        raise InvalidArgument("Required parameter: project")
    return project


def _shown(request: Request, bucket: Bucket) -> Response:
    return json_response(bucket_resource(bucket, base_url(request)))
