"""Vertex AI v1: a model version from gs://, deployed to an endpoint with all of its traffic."""

from collections.abc import Callable

from tf_dataflow_serving.deployment.errors import VersionExists
from tf_dataflow_serving.deployment.operations import Api, Creation, Resource
from tf_dataflow_serving.deployment.serving import Serving
from tf_dataflow_serving.inference.endpoint import VertexEndpoint, VertexModel


class VertexDeployer:
    """Deploys a version of a model to an endpoint of its location; `tell` gets each step.

    The model's version is the alias that the version gets. All of it raises
    PredictionUnavailable, and PredictionRejected with the service's reason.
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
        self._model_path = f"/v1/{model.parent}/models/{model.model}"
        self._endpoint_path = f"/v1/{endpoint.resource}"

    def require_new(self) -> None:
        """Raise VersionExists if the model has that version, and not by half a deployment.

        That is one which has uploaded the same URI and not come to the endpoint.
        """
        version = self._api.look_up(f"/v1/{self._model.resource}")
        if version is None:
            return
        endpoint = self._api.look_up(self._endpoint_path)
        is_other = version.get("artifactUri") != self._serving.uri
        if is_other or self._deployed(endpoint, version["versionId"]):
            raise VersionExists(self._model.model, str(self._model.version))

    def deploy(self) -> str:
        """Serve the SavedModel below the gs:// URI and return the endpoint's resource name.

        Model and endpoint are created if need be. What an earlier deployment of the version has
        done is not done again. Versions that were deployed before stay so, without traffic.
        Raises DeploymentFailed.
        """
        number = self._uploaded_before() or self._upload()["modelVersionId"]
        self._create_endpoint()
        self._tell(f"deploying it to endpoint {self._endpoint.endpoint}")
        self._deploy_model(number)
        return self._endpoint.resource

    def _uploaded_before(self) -> str | None:
        version = self._api.look_up(f"/v1/{self._model.resource}")
        if version is None:
            return None
        self._tell(f"model {self._model.model} has version {self._model.version}: going on from it")
        return str(version["versionId"])

    def _upload(self) -> Resource:
        name, alias, uri = self._model.model, self._model.version, self._serving.uri
        self._tell(f"uploading model {name}, version {alias}, from {uri}")
        model = {
            "displayName": name,
            "versionAliases": [alias],
            "artifactUri": uri,
            "containerSpec": {"imageUri": self._serving.image},
        }
        body = {**self._place(), "model": model}
        path = f"/v1/{self._model.parent}/models:upload"
        return self._api.make(Creation(path, body, self._model_path, self._uploaded))

    def _uploaded(self) -> Resource | None:
        version = self._api.find(f"/v1/{self._model.resource}")
        return version and {"modelVersionId": version["versionId"]}

    def _place(self) -> dict[str, str]:
        if self._api.look_up(self._model_path) is None:
            return {"modelId": self._model.model}
        return {"parentModel": self._model_path.removeprefix("/v1/")}

    def _create_endpoint(self) -> None:
        endpoint, owner = self._endpoint.endpoint, self._endpoint_path
        if self._api.look_up(owner) is not None:
            return
        self._tell(f"creating endpoint {endpoint}")
        path = f"/v1/{self._model.parent}/endpoints?endpointId={endpoint}"
        body = {"displayName": endpoint}
        self._api.make(Creation(path, body, owner, lambda: self._api.find(owner)))

    def _deploy_model(self, number: str) -> None:
        resources = {
            "machineSpec": {"machineType": self._serving.machine_type},
            "minReplicaCount": 1,
            "maxReplicaCount": 1,
        }
        deployed = {
            "model": f"{self._model_path.removeprefix('/v1/')}@{number}",
            "displayName": f"{self._model.model} {self._model.version}",
            "dedicatedResources": resources,
        }
        # "0" stands for the model that this request deploys (EndpointService.DeployModel).
        body = {"deployedModel": deployed, "trafficSplit": {"0": 100}}
        path = f"{self._endpoint_path}:deployModel"
        self._api.make(
            Creation(path, body, self._endpoint_path, lambda: self._find_deployed(number))
        )

    def _find_deployed(self, number: str) -> Resource | None:
        return self._deployed(self._api.find(self._endpoint_path), number)

    def _deployed(self, endpoint: Resource | None, number: str) -> Resource | None:
        """Return a version of the model as it is deployed on an endpoint; None if it is not."""
        for deployed in (endpoint or {}).get("deployedModels", []):
            # The service may write the project as a number.
            model = deployed["model"].rpartition("/")[2].partition("@")[0]
            if (model, deployed.get("modelVersionId")) == (self._model.model, number):
                found: Resource = deployed
                return found
        return None
