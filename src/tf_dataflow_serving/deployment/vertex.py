"""Vertex AI v1: a model version from gs://, deployed to an endpoint with all of its traffic."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tf_dataflow_serving.deployment.errors import VersionExists
from tf_dataflow_serving.deployment.operations import Api
from tf_dataflow_serving.deployment.serving import Serving
from tf_dataflow_serving.inference.endpoint import VertexEndpoint, VertexModel
from tf_dataflow_serving.inference.transport import Conflict, MissingResource


class VertexDeployer:
    """Deploys versions of a model to an endpoint of its location; `tell` gets each step.

    `model` names no version. All of it raises PredictionUnavailable, and PredictionRejected with
    the service's reason.
    """

    def __init__(
        self,
        api: Api,
        model: VertexModel,
        endpoint: VertexEndpoint,
        serving: Serving,
        tell: Callable[[str], object],
    ) -> None:
        self._api = api
        self._model = model
        self._endpoint = endpoint
        self._serving = serving
        self._tell = tell

    def require_new(self, version: str) -> None:
        """Raise VersionExists if the model has a version of that alias."""
        with suppress(MissingResource):
            self._api.get(f"/v1/{self._model.resource}@{version}")
            raise VersionExists(self._model.model, version)

    def deploy(self, version: str, uri: str) -> str:
        """Serve the SavedModel below a gs:// URI and return the endpoint's resource name.

        The version gets its name as an alias; model and endpoint are created if need be. Versions
        that were deployed before stay so, without traffic. Raises DeploymentFailed.
        """
        self._tell(f"uploading model {self._model.model}, version {version}, from {uri}")
        uploaded = self._upload(version, uri)
        self._create_endpoint()
        self._tell(f"deploying it to endpoint {self._endpoint.endpoint}")
        self._deploy_model(f"{uploaded['model']}@{uploaded['modelVersionId']}", version)
        return self._endpoint.resource

    def _upload(self, version: str, uri: str) -> dict[str, Any]:
        model = {
            "displayName": self._model.model,
            "versionAliases": [version],
            "artifactUri": uri,
            "containerSpec": {"imageUri": self._serving.image},
        }
        body = {**self._place(), "model": model}
        return self._api.complete(self._api.post(f"/v1/{self._model.parent}/models:upload", body))

    def _place(self) -> dict[str, str]:
        try:
            self._api.get(f"/v1/{self._model.resource}")
        except MissingResource:
            return {"modelId": self._model.model}
        return {"parentModel": self._model.resource}

    def _create_endpoint(self) -> None:
        try:
            self._api.get(f"/v1/{self._endpoint.resource}")
        except MissingResource:
            self._tell(f"creating endpoint {self._endpoint.endpoint}")
            path = f"/v1/{self._model.parent}/endpoints?endpointId={self._endpoint.endpoint}"
            with suppress(Conflict):
                self._api.complete(self._api.post(path, {"displayName": self._endpoint.endpoint}))

    def _deploy_model(self, model: str, version: str) -> None:
        resources = {
            "machineSpec": {"machineType": self._serving.machine_type},
            "minReplicaCount": 1,
            "maxReplicaCount": 1,
        }
        deployed = {
            "model": model,
            "displayName": f"{self._model.model} {version}",
            "dedicatedResources": resources,
        }
        # "0" stands for the model that this request deploys (EndpointService.DeployModel).
        body = {"deployedModel": deployed, "trafficSplit": {"0": 100}}
        self._api.complete(self._api.post(f"/v1/{self._endpoint.resource}:deployModel", body))
