"""Batch prediction jobs: a part of JobService of aiplatform v1."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.http_json import (
    json_response,
    parse_object,
    read_body,
)
from tf_dataflow_serving.services.prediction.proto_json import EMPTY
from tf_dataflow_serving.services.prediction.service import PredictionService
from tf_dataflow_serving.services.prediction.vertex.job_requests import job_definition
from tf_dataflow_serving.services.prediction.vertex.job_resources import job_resource
from tf_dataflow_serving.services.prediction.vertex.listing import filtered_page
from tf_dataflow_serving.services.prediction.vertex.paths import parent
from tf_dataflow_serving.services.prediction.vertex.resources import (
    operation_resource,
    typed,
)

_JOBS = "/batchPredictionJobs"
_JOB = f"{_JOBS}/{{job}}"


def routes(service: PredictionService) -> list[Route]:
    """Return the methods of jobs; custom methods come before what they look like."""
    api = _Jobs(service)
    return [
        Route(_JOBS, api.create, methods=["POST"]),
        Route(_JOBS, api.list, methods=["GET"]),
        Route(f"{_JOB}:cancel", api.cancel, methods=["POST"]),
        Route(_JOB, api.get, methods=["GET"]),
        Route(_JOB, api.delete, methods=["DELETE"]),
    ]


class _Jobs:
    def __init__(self, service: PredictionService) -> None:
        self._hosting = service.hosting
        self._jobs = service.jobs
        self._operations = service.operations

    async def create(self, request: Request) -> Response:
        body = parse_object(await read_body(request))
        hosting = self._hosting
        name = f"{parent(request)}{_JOBS}/{hosting.new_id()}"
        taken = self._jobs.output_directories()
        definition = job_definition(name, body, hosting.models, hosting.clock(), taken)
        return json_response(job_resource(self._jobs.submit(definition)))

    async def list(self, request: Request) -> Response:
        found = self._jobs.jobs(f"{parent(request)}{_JOBS}")
        return filtered_page(request, "batchPredictionJobs", [job_resource(job) for job in found])

    async def get(self, request: Request) -> Response:
        return json_response(job_resource(self._jobs.get(_name(request))))

    async def cancel(self, request: Request) -> Response:
        self._jobs.cancel(_name(request))
        return json_response({})

    async def delete(self, request: Request) -> Response:
        name = _name(request)
        self._jobs.delete(name)
        operation = self._operations.completed(
            f"{name}/operations/", typed("DeleteOperationMetadata", {}), EMPTY
        )
        return json_response(operation_resource(operation))


def _name(request: Request) -> str:
    return f"{parent(request)}{_JOBS}/{request.path_params['job']}"
