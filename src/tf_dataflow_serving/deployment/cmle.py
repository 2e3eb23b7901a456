"""Cloud ML Engine v1: a model, and a version of it from gs:// (projects.models.versions.create)."""

from collections.abc import Callable
from contextlib import suppress

from tf_dataflow_serving.deployment.errors import VersionExists
from tf_dataflow_serving.deployment.operations import Api
from tf_dataflow_serving.inference.transport import Conflict, MissingResource

_VERSION_ATTRIBUTES = {
    "framework": "TENSORFLOW",
    # The last that the service had.
    "runtimeVersion": "2.11",
    "pythonVersion": "3.7",
}


class CmleDeployer:
    """Creates versions of one model on a Cloud ML Engine v1 service; `tell` gets each step.

    All of it raises PredictionUnavailable, and PredictionRejected with the service's reason.
    """

    def __init__(self, api: Api, project: str, model: str, tell: Callable[[str], object]) -> None:
        self._api = api
        self._models = f"/v1/projects/{project}/models"
        self._model = model
        self._tell = tell

    def require_new(self, version: str) -> None:
        """Raise VersionExists if the model has that version."""
        with suppress(MissingResource):
            self._api.get(f"{self._models}/{self._model}/versions/{version}")
            raise VersionExists(self._model, version)

    def deploy(self, version: str, uri: str) -> str:
        """Serve the SavedModel below a gs:// URI and return the version's resource name.

        The model is created if need be. Raises DeploymentFailed.
        """
        with suppress(Conflict):
            self._api.post(self._models, {"name": self._model})
            self._tell(f"created model {self._model}")
        self._tell(f"creating version {version} from {uri}")
        body = {"name": version, "deploymentUri": uri, **_VERSION_ATTRIBUTES}
        path = f"{self._models}/{self._model}/versions"
        self._api.complete(self._api.post(path, body))
        return f"{path}/{version}".removeprefix("/v1/")
