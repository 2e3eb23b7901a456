"""Cloud ML Engine v1: a model, and a version of it from gs:// (projects.models.versions.create)."""

from collections.abc import Callable
from contextlib import suppress

from tf_dataflow_serving.deployment.errors import DeploymentFailed, VersionExists
from tf_dataflow_serving.deployment.operations import Api, Resource
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.transport import Conflict, MissingResource

_VERSION_ATTRIBUTES = {
    "framework": "TENSORFLOW",
    # The last that the service had.
    "runtimeVersion": "2.11",
    "pythonVersion": "3.7",
}
_FINAL_STATES = frozenset({"READY", "FAILED"})
"""Of GoogleCloudMlV1__Version.state."""


class CmleDeployer:
    """Creates a version of a model on a Cloud ML Engine v1 service; `tell` gets each step.

    All of it raises PredictionUnavailable, and PredictionRejected with the service's reason.
    """

    def __init__(
        self, api: Api, endpoint: PredictionEndpoint, uri: str, tell: Callable[[str], object]
    ) -> None:
        self._api = api
        self._endpoint = endpoint
        self._uri = uri
        self._models = f"/v1/projects/{endpoint.project}/models"
        self._versions = f"{self._models}/{endpoint.model}/versions"
        self._version = f"{self._versions}/{endpoint.version}"
        self._tell = tell

    def require_new(self) -> None:
        """Raise VersionExists if the model has that version."""
        with suppress(MissingResource):
            self._api.get(self._version)
            raise VersionExists(self._endpoint.model, str(self._endpoint.version))

    def deploy(self) -> str:
        """Serve the SavedModel below the gs:// URI and return the version's resource name.

        The model is created if need be. Raises DeploymentFailed.
        """
        with suppress(Conflict):
            self._api.post(self._models, {"name": self._endpoint.model})
            self._tell(f"created model {self._endpoint.model}")
        self._tell(f"creating version {self._endpoint.version} from {self._uri}")
        body = {"name": self._endpoint.version, "deploymentUri": self._uri, **_VERSION_ATTRIBUTES}
        self._api.post_unless(self._found, self._versions, body)
        self._require_ready()
        return self._endpoint.resource

    def _found(self) -> Resource | None:
        version = self._api.find(self._version)
        # Another one of that name is a conflict, which the service names.
        return version if version and version.get("deploymentUri") == self._uri else None

    def _require_ready(self) -> None:
        version = self._api.settled(
            self._version, lambda found: found.get("state") in _FINAL_STATES
        )
        if version["state"] == "FAILED":
            reason = version.get("errorMessage", "no reason given")
            raise DeploymentFailed(f"version {self._endpoint.version} cannot be created: {reason}")
