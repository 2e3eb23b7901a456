"""/control/v1: the faults in force, and a restart."""

import dataclasses
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.prediction.control.paths import FAULTS, RESTART
from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.faults.document import (
    plan_document,
    plan_from_document,
)
from tf_dataflow_serving.services.prediction.faults.injection import FaultCounts, Faults, Injection
from tf_dataflow_serving.services.prediction.faults.numbers import MAX_SECONDS, InvalidPlan
from tf_dataflow_serving.services.prediction.faults.outages import Outages
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan
from tf_dataflow_serving.services.prediction.http_json import (
    json_response,
    parse_object,
    read_body,
)


def routes(faults: Faults, outages: Outages) -> list[Route]:
    """Return the routes."""
    control = _Control(faults, outages)
    return [
        Route(FAULTS, control.tell, methods=["GET"]),
        Route(FAULTS, control.replace, methods=["PUT"]),
        Route(FAULTS, control.end, methods=["DELETE"]),
        Route(RESTART, control.restart, methods=["POST"]),
    ]


class _Control:
    def __init__(self, faults: Faults, outages: Outages) -> None:
        self._faults = faults
        self._outages = outages

    async def tell(self, _: Request) -> Response:
        return json_response(_content(self._faults.injection))

    async def replace(self, request: Request) -> Response:
        self._faults.begin(_plan(parse_object(await read_body(request))))
        return json_response(_content(self._faults.injection))

    async def end(self, _: Request) -> Response:
        self._faults.end()
        return json_response(_content(self._faults.injection))

    async def restart(self, request: Request) -> Response:
        seconds = _seconds(parse_object(await read_body(request)))
        # The connection ends by itself behind the answer, which a reset could overtake.
        answer = json_response({})
        answer.headers["Connection"] = "close"
        answer.background = BackgroundTask(self._begin_outage, seconds)
        return answer

    async def _begin_outage(self, seconds: float) -> None:
        self._outages.begin(seconds)


def _content(injection: Injection | None) -> dict[str, Any]:
    if injection is None:
        return {"plan": None, "counts": _counts(FaultCounts())}
    return {"plan": plan_document(injection.plan), "counts": _counts(injection.counts())}


def _counts(counts: FaultCounts) -> dict[str, Any]:
    errors = {str(code): count for code, count in counts.errors.items()}
    return {**dataclasses.asdict(counts), "errors": errors}


def _plan(document: dict[str, Any]) -> FaultPlan:
    try:
        return plan_from_document(document)
    except InvalidPlan as error:
        raise InvalidArgument(error.field, error.reason) from error


def _seconds(document: dict[str, Any]) -> float:
    for name in document:
        if name != "seconds":
            raise InvalidArgument(name, "it is not known here")
    seconds: Any = document.get("seconds")
    if type(seconds) in (int, float) and 0 <= seconds <= MAX_SECONDS:
        return float(seconds)
    raise InvalidArgument("seconds", f"a number from 0 to {MAX_SECONDS:g} is expected")
