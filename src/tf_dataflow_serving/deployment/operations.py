"""Requests that make something, and their long-running operations (AIP-151), to their end."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from tf_dataflow_serving.deployment.errors import DeploymentFailed
from tf_dataflow_serving.inference.polling import Polling
from tf_dataflow_serving.inference.transport import MissingResource, Transport

TIMEOUT_SECONDS = 3600.0
"""Vertex AI takes up to half an hour to bring up the machines of a deployment."""

Resource = dict[str, Any]


@dataclass(frozen=True)
class Creation:
    """A request that makes something, which the service must not be asked for twice.

    `owner` is the path of the resource that the operation belongs to. `found` returns what was
    made, None as long as it is not there, by single requests.
    """

    path: str
    body: Resource
    owner: str
    found: Callable[[], Resource | None]


@dataclass(frozen=True)
class _Begun:
    operation: Resource
    is_own: bool = True


@dataclass(frozen=True)
class Api:
    """JSON requests to one service, and the operations that they start."""

    transport: Transport
    polling: Polling = field(default_factory=Polling)
    timeout: float = TIMEOUT_SECONDS

    def get(self, path: str) -> Resource:
        """Return a resource."""
        return self.transport.get(path)

    def post(self, path: str, body: Resource) -> Resource:
        """Return the answer to a request that may be made twice."""
        return self.transport.post(path, orjson.dumps(body))

    def look_up(self, path: str) -> Resource | None:
        """Return a resource; None if there is none."""
        return self.transport.persist(lambda: self.find(path))

    def find(self, path: str) -> Resource | None:
        """Return a resource, by a single request, which may raise Transient; None for none."""
        with suppress(MissingResource):
            return self.transport.get_once(path)
        return None

    def post_unless(self, found: Callable[[], Resource | None], path: str, body: Resource) -> None:
        """Make a request unless what it makes is there.

        An answer may be lost on the way: before the request is made again, `found` looks.
        """
        content = orjson.dumps(body)
        self.transport.persist(lambda: found() or self.transport.post_once(path, content))

    def make(self, creation: Creation) -> Resource:
        """Return what a request makes, or an earlier one has made; raises DeploymentFailed.

        An answer may be lost on the way, and a command be interrupted: before the request is
        made, operations of the owner that are under way are followed to their ends.
        """
        while True:
            begun = self.transport.persist(lambda: self._begun(creation))
            response = self.complete(begun.operation)
            if begun.is_own:
                return response

    def _begun(self, creation: Creation) -> _Begun:
        # In this order: what ends in between is found.
        earlier = self._under_way(creation.owner)
        if earlier is not None:
            return _Begun(earlier, is_own=False)
        found = creation.found()
        if found is not None:
            return _Begun({"done": True, "response": found})
        return _Begun(self.transport.post_once(creation.path, orjson.dumps(creation.body)))

    def _under_way(self, owner: str) -> Resource | None:
        listed = self.find(f"{owner}/operations") or {}
        operations = listed.get("operations", [])
        return next((operation for operation in operations if not operation.get("done")), None)

    def complete(self, operation: Resource) -> Resource:
        """Return the response of an operation, once it is done; raises DeploymentFailed."""
        if not operation.get("done"):
            path = f"/v1/{operation.get('name', '')}"
            operation = self.settled(path, lambda current: bool(current.get("done")))
        if "error" in operation:
            raise DeploymentFailed(str(operation["error"].get("message", operation["error"])))
        response: Resource = operation.get("response", {})
        return response

    def settled(self, path: str, is_settled: Callable[[Resource], bool]) -> Resource:
        """Return a resource, once it has come to its end; raises DeploymentFailed."""
        for resource in self.polling.answers(lambda: self.get(path), self.timeout):
            if is_settled(resource):
                return resource
        name = path.removeprefix("/v1/")
        raise DeploymentFailed(f"{name} is not done after {self.timeout:g} s; it goes on")
