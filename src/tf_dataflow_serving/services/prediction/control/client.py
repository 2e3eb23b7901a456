"""The Python client of the control endpoint, for tests of what asks for predictions.

    with PredictionControl("http://127.0.0.1:8500") as control:
        with control.inject(FaultPlan(errors={429: 0.5}, reset=0.01, retry_after=1)):
            my_pipeline.run()
            assert control.counts().errors[429] > 0

Every call raises ControlFailed if the service does not answer, or refuses.
"""

from dataclasses import dataclass
from typing import Any, Self

import httpx

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.prediction.control.paths import FAULTS, RESTART
from tf_dataflow_serving.services.prediction.faults.document import (
    plan_document,
    plan_from_document,
)
from tf_dataflow_serving.services.prediction.faults.injection import FaultCounts
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan

TIMEOUT_SECONDS = 30.0


class ControlFailed(UserError):
    """The service did not do what was asked; the text says why."""


@dataclass(frozen=True)
class InjectedPlan:
    """A plan in force; as a context manager it ends on leaving."""

    control: "PredictionControl"
    plan: FaultPlan

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.control.clear()


class PredictionControl:
    """Lets a prediction service fail; use it as a context manager, or `close` it.

    `url` is that of the service itself.
    """

    def __init__(self, url: str) -> None:
        # A proxy has no business between this process and a service beside it.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def inject(self, plan: FaultPlan) -> InjectedPlan:
        """Put a plan in place of the one that is in force; counts and seed begin anew."""
        self._call("PUT", FAULTS, json=plan_document(plan))
        return InjectedPlan(self, plan)

    def plan(self) -> FaultPlan | None:
        """Return the plan in force, if there is one."""
        document = self._call("GET", FAULTS)["plan"]
        return None if document is None else plan_from_document(document)

    def counts(self) -> FaultCounts:
        """Return what happened since the plan came into force; without one all is 0."""
        counts = self._call("GET", FAULTS)["counts"]
        errors = {int(code): count for code, count in counts["errors"].items()}
        return FaultCounts(**{**counts, "errors": errors})

    def clear(self) -> None:
        """End all faults."""
        self._call("DELETE", FAULTS)

    def restart(self, seconds: float) -> None:
        """Let the service go away now, and be back after so many seconds."""
        self._call("POST", RESTART, json={"seconds": seconds})

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            address = self._http.base_url
            raise ControlFailed(f"the prediction service at {address} failed: {error}") from error
        if response.is_error:
            raise ControlFailed(_reason(response))
        return response.json()


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"unexpected answer from {response.url}: status {response.status_code}"
