"""The gateway: what bqemulator's REST API lacks or gets wrong, in front of it.

Whatever is not named here goes to it untouched, its Host header too: the address to which a
resumable upload continues is made from that.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import orjson
from bqemulator.api.middleware import GzipRequestMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from tf_dataflow_serving.services.bigquery.database import Database
from tf_dataflow_serving.services.bigquery.destination import has_destination, run_into_table
from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BackendFailed,
    BigQueryError,
    InvalidData,
    InvalidQuery,
    InvalidRequest,
    NotFound,
    ResourceInUse,
    TooLarge,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.insertion import Inserter, InsertRequest
from tf_dataflow_serving.services.bigquery.jobs import run_uploaded_load
from tf_dataflow_serving.services.bigquery.labels import LabelFilter
from tf_dataflow_serving.services.bigquery.paging import page_of
from tf_dataflow_serving.services.bigquery.protocol.uploads import Uploads
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

# BigQuery takes 10 MB in one insertAll request; a job's configuration is far smaller.
MAX_BODY_BYTES = 64 * 1024 * 1024
_INSIDE = "http://bigquery"
_ALL = {"maxResults": str(2**31 - 1)}
_PROJECT = "/bigquery/v2/projects/{project}"
_DATASET = _PROJECT + "/datasets/{dataset}"
# Beam's client has its own path for resumable uploads.
_UPLOADS = ("/upload" + _PROJECT + "/jobs", "/resumable/upload" + _PROJECT + "/jobs")
_TABLE = _DATASET + "/tables/{table}"
_STATUS: Mapping[type[BigQueryError], int] = {
    InvalidRequest: 400,
    InvalidData: 400,
    InvalidQuery: 400,
    ResourceInUse: 400,
    NotFound: 404,
    AlreadyExists: 409,
    TooLarge: 413,
    Unsupported: 501,
    BackendFailed: 503,
}


def gateway(emulator: ASGIApp, database: Database, inserter: Inserter) -> ASGIApp:
    """The application to serve: our routes, then all of bqemulator's."""
    handlers = _Gateway(emulator, database, inserter)
    uploads = Uploads(database.upload_sessions, handlers.upload_job)
    routes = [
        _route(_PROJECT + "/datasets", "GET", handlers.list_datasets),
        _route(_DATASET, "DELETE", handlers.delete_dataset),
        _route(_DATASET + "/tables", "GET", handlers.list_tables),
        _route(_DATASET + "/tables", "POST", handlers.create_table),
        _route(_TABLE, "GET", handlers.get_table),
        _route(_TABLE + "/insertAll", "POST", handlers.insert_rows),
        _route(_PROJECT + "/jobs", "GET", handlers.list_jobs),
        _route(_PROJECT + "/jobs", "POST", handlers.insert_job),
        *(_route(path, "POST", uploads.start) for path in _UPLOADS),
        *(_route(path, "PUT", uploads.resume) for path in _UPLOADS),
        _route(_PROJECT + "/queries", "POST", handlers.query),
        Mount("/", app=emulator),
    ]
    app = Starlette(routes=routes, exception_handlers={BigQueryError: _error_response})
    return GzipRequestMiddleware(app)  # type: ignore[no-any-return]


def _route(path: str, method: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
    return Route(path, handler, methods=[method])


class _Gateway:
    """The handlers of the routes above."""

    def __init__(self, emulator: ASGIApp, database: Database, inserter: Inserter) -> None:
        transport = httpx.ASGITransport(emulator, raise_app_exceptions=False)
        # In this process, so there is nothing that could fail to answer.
        self._emulator = httpx.AsyncClient(transport=transport, base_url=_INSIDE, timeout=None)  # noqa: S113
        self._database = database
        self._inserter = inserter
        self._running: set[tuple[str, str]] = set()

    async def list_datasets(self, request: Request) -> Response:
        """Apply the label filter, which bqemulator ignores."""
        labels = LabelFilter.parse(request.query_params.get("filter", ""))
        return await self._list(
            request, "datasets", lambda dataset: labels.admits(dataset.get("labels") or {})
        )

    async def list_tables(self, request: Request) -> Response:
        """Give pages: bqemulator cuts its list off without a token."""
        return await self._list(request, "tables")

    async def list_jobs(self, request: Request) -> Response:
        """Give pages."""
        return await self._list(request, "jobs")

    async def delete_dataset(self, request: Request) -> Response:
        """Refuse for what it is: bqemulator says that a dataset with tables is not found."""
        response = await self._forward(request)
        project, dataset = request.path_params["project"], request.path_params["dataset"]
        refused = response.status_code == httpx.codes.NOT_FOUND
        if refused and self._database.has_dataset(project, dataset):
            raise ResourceInUse(f"Dataset {project}:{dataset} is still in use")
        return _relayed(response)

    async def create_table(self, request: Request) -> Response:
        """Require the dataset: bqemulator fails without it, so that clients retry for minutes."""
        project, dataset = request.path_params["project"], request.path_params["dataset"]
        if not self._database.has_dataset(project, dataset):
            raise NotFound(f"Not found: Dataset {project}:{dataset}")
        return _relayed(await self._forward(request))

    async def get_table(self, request: Request) -> Response:
        """Count the rows: bqemulator's number is that of the last load."""
        response = await self._forward(request)
        table = _table_of(request)
        if response.is_error or self._database.schema(table) is None:
            return _relayed(response)
        resource = response.json()
        if resource.get("type") == "TABLE":
            resource["numRows"] = str(self._database.count(table))
        return _json(resource)

    async def insert_rows(self, request: Request) -> Response:
        """Insert ourselves: bqemulator knows no insertId and answers 500 for a bad row."""
        insert = InsertRequest.from_rest(await _body(request))
        errors = self._inserter.insert(_table_of(request), insert)
        kind = "bigquery#tableDataInsertAllResponse"
        return _json({"kind": kind, **({"insertErrors": errors} if errors else {})})

    async def query(self, request: Request) -> Response:
        """Fail where the query does, which bqemulator shows as a result without rows."""
        response = await self._forward(request)
        self._database.forget_results()
        if response.is_success:
            _raise_failure(response.json())
        return _relayed(response)

    async def insert_job(self, request: Request) -> Response:
        """Run each job id once, and write query results to where they are to go."""
        job = await _body(request)
        project = request.path_params["project"]
        with self._new_job(project, job):
            return await self._run_job(request, project, job)

    async def upload_job(self, project: str, job: dict[str, Any], file: Path) -> Response:
        """Run a load job on an uploaded file."""
        with self._new_job(project, job) as job_id:
            await run_uploaded_load(self._database, project, job, file)
        response = await self._emulator.get(f"/bigquery/v2/projects/{project}/jobs/{job_id}")
        return _relayed(response)

    @contextmanager
    def _new_job(self, project: str, job: dict[str, Any]) -> Iterator[str]:
        """Give a job an id if it has none; raises AlreadyExists for one that was seen before."""
        reference = job.setdefault("jobReference", {})
        job_id: str = reference.setdefault("jobId", f"job_{uuid4().hex}")
        if self._database.has_job(project, job_id) or (project, job_id) in self._running:
            raise AlreadyExists(f"Already Exists: Job {project}:US.{job_id}")
        self._running.add((project, job_id))
        try:
            yield job_id
        finally:
            self._running.discard((project, job_id))
            self._database.forget_results()

    async def _run_job(self, request: Request, project: str, job: dict[str, Any]) -> Response:
        if not has_destination(job):
            return _relayed(await self._forward(request, job))

        async def run(plain: dict[str, Any]) -> dict[str, Any]:
            response = await self._forward(request, plain)
            if response.is_error:
                raise _Refused(response)
            finished: dict[str, Any] = response.json()
            return finished

        try:
            return _json(await run_into_table(job, project, run, self._database))
        except _Refused as refused:
            return _relayed(refused.response)

    async def _list(
        self,
        request: Request,
        kind: str,
        admits: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> Response:
        query = request.query_params
        response = await self._forward(request, params={**query, **_ALL})
        if response.is_error:
            return _relayed(response)
        listing = response.json()
        items: Sequence[Any] = [item for item in listing.pop(kind, ()) if admits(item)]
        page = page_of(items, _integer(query.get("maxResults")), query.get("pageToken"))
        listing |= {"totalItems": len(items), **({kind: page.items} if page.items else {})}
        return _json(listing | ({"nextPageToken": page.next_token} if page.next_token else {}))

    async def _forward(
        self,
        request: Request,
        job: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request on to bqemulator, with another body or query if given."""
        content = await request.body() if job is None else orjson.dumps(job)
        url = request.url if params is None else request.url.replace(query=urlencode(params))
        headers = [pair for pair in request.headers.raw if pair[0] != b"content-length"]
        return await self._emulator.request(
            request.method, str(url), content=content, headers=headers
        )


class _Refused(Exception):
    """bqemulator's own answer to a request that it did not take."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def _raise_failure(result: Mapping[str, Any]) -> None:
    """Raise what made a query fail; beside a schema, errors are but warnings."""
    errors = result.get("errors")
    if not errors or result.get("schema", {}).get("fields"):
        return
    failure = NotFound if errors[0]["reason"] == NotFound.reason else InvalidQuery
    raise failure(errors[0]["message"])


def _relayed(response: httpx.Response) -> Response:
    media_type = response.headers.get("content-type")
    return Response(response.content, response.status_code, media_type=media_type)


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _table_of(request: Request) -> TableRef:
    path = request.path_params
    return TableRef(path["project"], path["dataset"], path["table"])


def _integer(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise InvalidRequest(f"Invalid value for maxResults: {text!r}") from error


async def _body(request: Request) -> dict[str, Any]:
    content = await _bounded(request)
    try:
        # The standard parser also reads NaN, which clients write.
        body = json.loads(content)
    except ValueError as error:
        raise InvalidRequest(f"Request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequest("Request body must be a JSON object")
    return body


async def _bounded(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise TooLarge(f"Request body exceeds {MAX_BODY_BYTES} bytes")
    return bytes(content)


async def _error_response(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BigQueryError)  # noqa: S101 - registered for no other
    code = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    detail = {"domain": "global", "reason": error.reason, "message": error.message}
    body = {"code": code, "message": error.message, "errors": [detail]}
    return JSONResponse({"error": body}, status_code=code)
