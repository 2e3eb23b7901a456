"""Long-running operations of Google's APIs, followed to their end (AIP-151)."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from tf_dataflow_serving.deployment.errors import DeploymentFailed
from tf_dataflow_serving.inference.polling import Polling
from tf_dataflow_serving.inference.transport import Transport

TIMEOUT_SECONDS = 3600.0
"""Vertex AI takes up to half an hour to bring up the machines of a deployment."""


@dataclass(frozen=True)
class Api:
    """JSON requests to one service, and the operations that they start."""

    transport: Transport
    polling: Polling = field(default_factory=Polling)
    timeout: float = TIMEOUT_SECONDS

    def get(self, path: str) -> dict[str, Any]:
        """Return a resource."""
        return self.transport.get(path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        return self.transport.post(path, orjson.dumps(body))

    def complete(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Return the response of an operation, once it is done; raises DeploymentFailed."""
        name = operation.get("name", "")
        answers = self.polling.answers(lambda: self.get(f"/v1/{name}"), self.timeout)
        while not operation.get("done"):
            try:
                operation = next(answers)
            except StopIteration:
                raise DeploymentFailed(
                    f"operation {name} is not done after {self.timeout:g} s; it goes on"
                ) from None
        if "error" in operation:
            raise DeploymentFailed(str(operation["error"].get("message", operation["error"])))
        response: dict[str, Any] = operation.get("response", {})
        return response
