"""The gateway: what bqemulator's REST API lacks or gets wrong, in front of it.

Whatever is not named here goes to it untouched, its Host header too: the address to which a
resumable upload continues is made from that.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from bqemulator.api.middleware import GzipRequestMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from tf_dataflow_serving.services.bigquery.embedded.database import Database
from tf_dataflow_serving.services.bigquery.embedded.jobs import run_uploaded_load
from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BigQueryError,
    InvalidQuery,
    NotFound,
    ResourceInUse,
)
from tf_dataflow_serving.services.bigquery.insertion import Inserter, InsertRequest
from tf_dataflow_serving.services.bigquery.jobs.destination import has_destination, run_into_table
from tf_dataflow_serving.services.bigquery.labels import LabelFilter
from tf_dataflow_serving.services.bigquery.protocol.forwarding import Emulator
from tf_dataflow_serving.services.bigquery.protocol.rest import (
    DATASET,
    PROJECT,
    TABLE,
    UPLOADS,
    body_of,
    error_response,
    json_response,
    relayed,
    route,
    table_of,
)
from tf_dataflow_serving.services.bigquery.protocol.tables import TableRoutes
from tf_dataflow_serving.services.bigquery.protocol.uploads import Uploads
from tf_dataflow_serving.services.bigquery.sql.legacy_sql import in_google_sql

_INSIDE = "http://bigquery"


def gateway(emulator: ASGIApp, database: Database, inserter: Inserter) -> ASGIApp:
    """The application to serve: our routes, then all of bqemulator's."""
    handlers = _Gateway(emulator, database, inserter)
    tables = TableRoutes(handlers.emulator, database)
    uploads = Uploads(database.upload_sessions, handlers.upload_job)
    routes = [
        route(PROJECT + "/datasets", "GET", handlers.list_datasets),
        route(DATASET, "DELETE", handlers.delete_dataset),
        route(DATASET + "/tables", "GET", handlers.list_tables),
        route(DATASET + "/tables", "POST", handlers.create_table),
        route(TABLE, "GET", tables.get),
        *(route(TABLE, method, tables.change) for method in ("PATCH", "PUT")),
        route(TABLE + "/data", "GET", tables.list_rows),
        route(TABLE + "/insertAll", "POST", handlers.insert_rows),
        route(PROJECT + "/jobs", "GET", handlers.list_jobs),
        route(PROJECT + "/jobs", "POST", handlers.insert_job),
        *(route(path, "POST", uploads.start) for path in UPLOADS),
        *(route(path, "PUT", uploads.resume) for path in UPLOADS),
        route(PROJECT + "/queries", "POST", handlers.query),
        Mount("/", app=emulator),
    ]
    app = Starlette(routes=routes, exception_handlers={BigQueryError: error_response})
    return GzipRequestMiddleware(app)  # type: ignore[no-any-return]


class _Gateway:
    """The handlers of the routes above."""

    def __init__(self, emulator: ASGIApp, database: Database, inserter: Inserter) -> None:
        transport = httpx.ASGITransport(emulator, raise_app_exceptions=False)
        # In this process, so there is nothing that could fail to answer.
        client = httpx.AsyncClient(transport=transport, base_url=_INSIDE, timeout=None)  # noqa: S113
        self.emulator = Emulator(client)
        self._database = database
        self._inserter = inserter
        self._running: set[str] = set()

    async def list_datasets(self, request: Request) -> Response:
        """Apply the label filter, which bqemulator ignores."""
        labels = LabelFilter.parse(request.query_params.get("filter", ""))
        return await self.emulator.listing(
            request, "datasets", lambda dataset: labels.admits(dataset.get("labels") or {})
        )

    async def list_tables(self, request: Request) -> Response:
        """Give pages: bqemulator cuts its list off without a token."""
        return await self.emulator.listing(request, "tables")

    async def list_jobs(self, request: Request) -> Response:
        """Give pages."""
        return await self.emulator.listing(request, "jobs")

    async def delete_dataset(self, request: Request) -> Response:
        """Refuse for what it is: bqemulator says that a dataset with tables is not found."""
        response = await self.emulator.send(request)
        project, dataset = request.path_params["project"], request.path_params["dataset"]
        refused = response.status_code == httpx.codes.NOT_FOUND
        if refused and self._database.has_dataset(project, dataset):
            raise ResourceInUse(f"Dataset {project}:{dataset} is still in use")
        return relayed(response)

    async def create_table(self, request: Request) -> Response:
        """Require the dataset: bqemulator fails without it, so that clients retry for minutes."""
        project, dataset = request.path_params["project"], request.path_params["dataset"]
        if not self._database.has_dataset(project, dataset):
            raise NotFound(f"Not found: Dataset {project}:{dataset}")
        return relayed(await self.emulator.send(request))

    async def insert_rows(self, request: Request) -> Response:
        """Insert ourselves: bqemulator knows no insertId and answers 500 for a bad row."""
        insert = InsertRequest.from_rest(await body_of(request))
        errors = self._inserter.insert(table_of(request), insert)
        kind = "bigquery#tableDataInsertAllResponse"
        return json_response({"kind": kind, **({"insertErrors": errors} if errors else {})})

    async def query(self, request: Request) -> Response:
        """Fail where the query does, which bqemulator shows as a result without rows."""
        query = self._in_google_sql(await body_of(request), request.path_params["project"])
        response = await self.emulator.send(request, query)
        self._database.forget_results()
        if response.is_success:
            _raise_failure(response.json())
        return relayed(response)

    async def insert_job(self, request: Request) -> Response:
        """Run each job id once, and write query results to where they are to go."""
        job = await body_of(request)
        project = request.path_params["project"]
        with self._new_job(project, job):
            return await self._run_job(request, project, job)

    async def upload_job(self, project: str, job: dict[str, Any], file: Path) -> Response:
        """Run a load job on an uploaded file."""
        with self._new_job(project, job) as job_id:
            await run_uploaded_load(self._database, project, job, file)
        response = await self.emulator.client.get(f"/bigquery/v2/projects/{project}/jobs/{job_id}")
        return relayed(response)

    @contextmanager
    def _new_job(self, project: str, job: dict[str, Any]) -> Iterator[str]:
        """Give a job an id if it has none; raises AlreadyExists for one that was seen before."""
        reference = job.setdefault("jobReference", {})
        job_id: str = reference.setdefault("jobId", f"job_{uuid4().hex}")
        # As bqemulator tells the results of jobs apart.
        name = job_id.replace("-", "")
        taken = name in self._running or self._database.is_result_taken(job_id)
        if taken or self._database.has_job(project, job_id):
            raise AlreadyExists(f"Already Exists: Job {project}:US.{job_id}")
        self._running.add(name)
        try:
            yield job_id
        finally:
            self._running.discard(name)
            self._database.forget_results()

    async def _run_job(self, request: Request, project: str, job: dict[str, Any]) -> Response:
        if not has_destination(job):
            return relayed(await self.emulator.send(request, self._readable(job, project)))

        async def run(plain: dict[str, Any]) -> dict[str, Any]:
            response = await self.emulator.send(request, self._readable(plain, project))
            if response.is_error:
                raise _Refused(response)
            finished: dict[str, Any] = response.json()
            return finished

        try:
            return json_response(await run_into_table(job, project, run, self._database))
        except _Refused as refused:
            return relayed(refused.response)

    def _readable(self, job: dict[str, Any], project: str) -> dict[str, Any]:
        """A job as bqemulator is to run it: of legacy SQL it knows next to nothing."""
        configuration = job.get("configuration") or {}
        if "query" not in configuration:
            return job
        query = self._in_google_sql(configuration["query"], project)
        return {**job, "configuration": {**configuration, "query": query}}

    def _in_google_sql(self, query: Mapping[str, Any], project: str) -> dict[str, Any]:
        return in_google_sql(query, project, self._database.schema)


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
