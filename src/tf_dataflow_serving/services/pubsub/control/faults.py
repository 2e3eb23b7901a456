"""/v1/faults: RPCs that fail or wait."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tf_dataflow_serving.services.pubsub.control.requests import (
    Fields,
    body_fields,
    parsed_whole,
    query_fields,
)
from tf_dataflow_serving.services.pubsub.control.responses import fault_json, json_response
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.faults import Code, Fault, Faults


class FaultEndpoints:
    """Adds, lists and removes faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/v1/faults", self.list_faults, methods=["GET"]),
            Route("/v1/faults", self.add_fault, methods=["POST"]),
            Route("/v1/faults", self.remove_all, methods=["DELETE"]),
            Route("/v1/faults/{id}", self.remove_fault, methods=["DELETE"]),
        ]

    async def list_faults(self, _: Request) -> Response:
        """Return all faults and how often each has struck."""
        return json_response({"faults": [fault_json(one) for one in self._faults.injected()]})

    async def add_fault(self, request: Request) -> Response:
        """Put a fault into force and return its ID."""
        return json_response({"id": self._faults.add(_fault(await body_fields(request)))})

    async def remove_all(self, request: Request) -> Response:
        """Forget all faults."""
        query_fields(request).finish()
        self._faults.clear()
        return json_response({})

    async def remove_fault(self, request: Request) -> Response:
        """Forget one fault."""
        self._faults.remove(parsed_whole("id", request.path_params["id"]))
        return json_response({})


def _fault(fields: Fields) -> Fault:
    fault = Fault(
        method=fields.text("method"),
        code=_code(fields.text("code")),
        message=fields.text("message", Fault.message),
        delay_seconds=fields.number("delay_seconds", Fault.delay_seconds),
        count=fields.optional_whole("count"),
        probability=fields.number("probability", Fault.probability),
    )
    fields.finish()
    return fault


def _code(name: str) -> Code | None:
    if not name:
        return None
    try:
        return Code(name)
    except ValueError as error:
        raise InvalidArgument(f"code must be one of {', '.join(Code)}.") from error
