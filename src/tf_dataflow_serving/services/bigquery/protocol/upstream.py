"""The gateway in front of another emulator: BigQuery's REST API, of which that one runs the SQL.

Whatever is not named here goes to it untouched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bqemulator.api.middleware import GzipRequestMiddleware
from bqemulator.jobs.upload_session_manager import UploadSessionManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BigQueryError,
    NotFound,
)
from tf_dataflow_serving.services.bigquery.insertion import Inserter, InsertRequest
from tf_dataflow_serving.services.bigquery.jobs.loading import UploadedSource
from tf_dataflow_serving.services.bigquery.labels import LabelFilter
from tf_dataflow_serving.services.bigquery.paging import page_of
from tf_dataflow_serving.services.bigquery.protocol.forwarding import Emulator
from tf_dataflow_serving.services.bigquery.protocol.rest import (
    DATASET,
    PROJECT,
    TABLE,
    UPLOADS,
    body_of,
    error_response,
    integer,
    json_response,
    relayed,
    route,
    table_of,
)
from tf_dataflow_serving.services.bigquery.protocol.uploads import Uploads
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import schema_from_rest
from tf_dataflow_serving.services.bigquery.upstream.cells import TimestampForm, rest_rows
from tf_dataflow_serving.services.bigquery.upstream.history import FinishedJob, QueryResult
from tf_dataflow_serving.services.bigquery.upstream.jobs import UpstreamJobs
from tf_dataflow_serving.services.bigquery.upstream.staging import STAGING_DATASET
from tf_dataflow_serving.services.bigquery.upstream.warehouse import UpstreamWarehouse
from tf_dataflow_serving.services.bigquery.warehouse import read_rows

_ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_ROWS_A_PAGE = 50_000
_BYTES_A_CELL = 8
# What the emulator keeps of a table itself.
_KEPT_THERE = ("schema", "tableReference")


def upstream_gateway(
    emulator: Emulator, jobs: UpstreamJobs, inserter: Inserter, sessions: UploadSessionManager
) -> ASGIApp:
    """The application to serve: our routes, then all of the emulator's."""
    resources = _Resources(emulator, jobs.warehouse, inserter)
    handlers = _Jobs(jobs)
    uploads = Uploads(sessions, handlers.upload)
    job = PROJECT + "/jobs/{job}"
    routes = [
        route(PROJECT + "/datasets", "GET", resources.list_datasets),
        route(PROJECT + "/datasets", "POST", resources.create_dataset),
        route(DATASET + "/tables", "GET", resources.list_tables),
        route(DATASET + "/tables", "POST", resources.create_table),
        route(TABLE, "GET", resources.get_table),
        *(route(TABLE, method, resources.update_table) for method in ("PUT", "PATCH")),
        route(TABLE, "DELETE", resources.delete_table),
        route(TABLE + "/data", "GET", resources.list_rows),
        route(TABLE + "/insertAll", "POST", resources.insert_rows),
        route(PROJECT + "/jobs", "GET", handlers.list),
        route(PROJECT + "/jobs", "POST", handlers.insert),
        route(job, "GET", handlers.get),
        route(job + "/cancel", "POST", handlers.cancel),
        route(job + "/delete", "DELETE", handlers.delete),
        *(route(path, "POST", uploads.start) for path in UPLOADS),
        *(route(path, "PUT", uploads.resume) for path in UPLOADS),
        route(PROJECT + "/queries", "POST", handlers.query),
        route(PROJECT + "/queries/{job}", "GET", handlers.query_results),
        Route("/{path:path}", resources.forward, methods=_ANY_METHOD),
    ]
    app = Starlette(routes=routes, exception_handlers={BigQueryError: error_response})
    return GzipRequestMiddleware(app)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Resources:
    """The routes of datasets and tables."""

    emulator: Emulator
    warehouse: UpstreamWarehouse
    inserter: Inserter

    async def forward(self, request: Request) -> Response:
        """Send what is not named on as it is."""
        return relayed(await self.emulator.send(request))

    async def list_datasets(self, request: Request) -> Response:
        """Apply the label filter, which the emulator ignores."""
        labels = LabelFilter.parse(request.query_params.get("filter", ""))

        def admits(dataset: Mapping[str, Any]) -> bool:
            own = dataset["datasetReference"]["datasetId"] == STAGING_DATASET
            return not own and labels.admits(dataset.get("labels") or {})

        return await self.emulator.listing(request, "datasets", admits)

    async def create_dataset(self, request: Request) -> Response:
        """Refuse a second one for what it is: the emulator fails, so that clients try for long."""
        project = request.path_params["project"]
        resource = await body_of(request)
        dataset = str((resource.get("datasetReference") or {}).get("datasetId") or "")
        if self.warehouse.has_dataset(project, dataset):
            raise AlreadyExists(f"Already Exists: Dataset {project}:{dataset}")
        return relayed(await self.emulator.send(request, resource))

    async def list_tables(self, request: Request) -> Response:
        """Give pages."""
        return await self.emulator.listing(request, "tables")

    async def create_table(self, request: Request) -> Response:
        """Make it by SQL, and keep what the emulator does not."""
        resource = await body_of(request)
        if "view" in resource or "materializedView" in resource:
            return relayed(await self.emulator.send(request, resource))
        project, dataset = request.path_params["project"], request.path_params["dataset"]
        reference = {"datasetId": dataset, **(resource.get("tableReference") or {})}
        table = TableRef.from_rest(reference, project)
        if self.warehouse.schema(table) is not None:
            raise AlreadyExists(f"Already Exists: Table {table}")
        fields = (resource.get("schema") or {}).get("fields") or ()
        kept = {name: value for name, value in resource.items() if name not in _KEPT_THERE}
        self.warehouse.create(table, schema_from_rest(fields), kept)
        return json_response(self._resource(table))

    async def get_table(self, request: Request) -> Response:
        """Add what the emulator does not keep, and the number of rows."""
        return json_response(self._resource(table_of(request)))

    async def update_table(self, request: Request) -> Response:
        """Keep what the emulator does not; its own change of a schema reaches no column."""
        changes = await body_of(request)
        table = table_of(request)
        self._resource(table)
        fields = (changes.get("schema") or {}).get("fields")
        if fields:
            self.warehouse.update_schema(table, schema_from_rest(fields))
        kept = {name: value for name, value in changes.items() if name not in _KEPT_THERE}
        self.warehouse.amend(table, kept)
        return json_response(self._resource(table))

    async def delete_table(self, request: Request) -> Response:
        """Forget what is kept of it, too."""
        table = table_of(request)
        if self._resource(table).get("type") == "VIEW":
            return relayed(await self.emulator.send(request))
        self.warehouse.drop(table)
        return Response(status_code=204)

    async def list_rows(self, request: Request) -> Response:
        """Write the cells ourselves: the emulator's nested ones are not as BigQuery's."""
        table = table_of(request)
        schema = self.warehouse.schema(table.base)
        if schema is None:
            raise NotFound(f"Not found: Table {table}")
        result = QueryResult(schema, read_rows(self.warehouse, table))
        named = {"kind": "bigquery#tableDataList", "totalRows": str(result.rows.num_rows)}
        return json_response({**named, **_page(request, result)})

    async def insert_rows(self, request: Request) -> Response:
        """Insert ourselves: the emulator writes other bytes than it gets."""
        insert = InsertRequest.from_rest(await body_of(request))
        errors = self.inserter.insert(table_of(request), insert)
        kind = "bigquery#tableDataInsertAllResponse"
        return json_response({"kind": kind, **({"insertErrors": errors} if errors else {})})

    def _resource(self, table: TableRef) -> dict[str, Any]:
        resource = self.warehouse.resource(table.base)
        if resource is None:
            raise NotFound(f"Not found: Table {table}")
        if resource.get("type") == "TABLE":
            rows = self.warehouse.count(table.base)
            columns = len((resource.get("schema") or {}).get("fields") or ())
            resource["numRows"] = str(rows)
            # As if all were numbers: Beam divides a table's size into bundles.
            resource["numBytes"] = str(rows * columns * _BYTES_A_CELL)
        return resource


@dataclass(frozen=True)
class _Jobs:
    """The routes of jobs and queries."""

    jobs: UpstreamJobs

    async def insert(self, request: Request) -> Response:
        """Run a job to its end."""
        job = await self.jobs.run(request.path_params["project"], await body_of(request))
        return json_response(job.resource)

    async def upload(self, project: str, job: dict[str, Any], file: Path) -> Response:
        """Run a load job on an uploaded file."""
        finished = await self.jobs.run(project, job, UploadedSource(file))
        return json_response(finished.resource)

    async def list(self, request: Request) -> Response:
        """Give pages."""
        query = request.query_params
        jobs = [job.resource for job in self.jobs.history.list(request.path_params["project"])]
        page = page_of(jobs, integer(query.get("maxResults")), query.get("pageToken"))
        following = {"nextPageToken": page.next_token} if page.next_token else {}
        listed = [{**job, "state": job["status"]["state"]} for job in page.items]
        return json_response({"kind": "bigquery#jobList", "jobs": listed, **following})

    async def get(self, request: Request) -> Response:
        """Tell of a job."""
        return json_response(self._named(request).resource)

    async def cancel(self, request: Request) -> Response:
        """Every job has ended when it is answered for."""
        job = self._named(request).resource
        return json_response({"kind": "bigquery#jobCancelResponse", "job": job})

    async def delete(self, request: Request) -> Response:
        """Forget a job and its result."""
        self.jobs.history.remove(request.path_params["project"], request.path_params["job"])
        return Response(status_code=204)

    async def query(self, request: Request) -> Response:
        """Run a query and answer with its first rows."""
        body = await body_of(request)
        project = request.path_params["project"]
        outer = {name: body[name] for name in ("labels", "dryRun") if body.get(name)}
        job = await self.jobs.run(project, {"configuration": {"query": body, **outer}})
        return _query_response(request, job, body)

    async def query_results(self, request: Request) -> Response:
        """Answer with a page of the rows that a query gave."""
        return _query_response(request, self._named(request), {})

    def _named(self, request: Request) -> FinishedJob:
        path = request.path_params
        return self.jobs.history.get(path["project"], path["job"])


def _query_response(request: Request, job: FinishedJob, body: Mapping[str, Any]) -> Response:
    if job.error is not None:
        raise job.error
    if job.is_result_gone:
        reference = job.resource["jobReference"]
        raise NotFound(f"Not found: the result of job {reference['jobId']} is not kept any more")
    answer: dict[str, Any] = {
        "kind": "bigquery#queryResponse",
        "jobReference": job.resource["jobReference"],
        "jobComplete": True,
        "cacheHit": False,
        "totalBytesProcessed": "0",
    }
    if job.result is None:
        return json_response({**answer, "totalRows": "0"})
    fields = [field.to_rest() for field in job.result.schema]
    total = {"totalRows": str(job.result.rows.num_rows), "schema": {"fields": fields}}
    return json_response({**answer, **total, **_page(request, job.result, body)})


def _page(
    request: Request, result: QueryResult, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The rows that a request asks for, and the token of the page behind them."""
    query = request.query_params
    asked = integer(query.get("maxResults") or _text((body or {}).get("maxResults")))
    size = _ROWS_A_PAGE if asked is None else asked
    token = query.get("pageToken") or query.get("startIndex")
    numbers = page_of(range(result.rows.num_rows), size, token)
    start = numbers.items[0] if numbers.items else 0
    rows = result.rows.slice(start, len(numbers.items))
    cells = rest_rows(rows, result.schema, _timestamps(request, body or {}))
    following = {"pageToken": numbers.next_token} if numbers.next_token else {}
    # A client takes an empty list for all there is, even if it asked for no row yet.
    return {**({"rows": cells} if cells else {}), **following}


def _timestamps(request: Request, body: Mapping[str, Any]) -> TimestampForm:
    asked = request.query_params.get("formatOptions.useInt64Timestamp", "").lower() == "true"
    asked = asked or bool((body.get("formatOptions") or {}).get("useInt64Timestamp"))
    return TimestampForm.MICROSECONDS if asked else TimestampForm.SECONDS


def _text(number: Any) -> str | None:
    return None if number is None else str(number)
