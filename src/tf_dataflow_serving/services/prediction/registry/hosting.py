"""Models from their upload to the endpoints that they answer on."""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import (
    FailedPrecondition,
    ModelUnusable,
    NotFound,
    ResourceError,
    StorageFailed,
)
from tf_dataflow_serving.services.prediction.locations import location_name
from tf_dataflow_serving.services.prediction.operations import OperationFailed
from tf_dataflow_serving.services.prediction.registry.artifacts import Artifacts
from tf_dataflow_serving.services.prediction.registry.endpoint_documents import EndpointDocuments
from tf_dataflow_serving.services.prediction.registry.endpoints import (
    DeployedModel,
    Endpoints,
    Traffic,
)
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.models import Model
from tf_dataflow_serving.services.prediction.registry.registered_documents import (
    RegisteredModelDocuments,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModels,
    RegisteredVersion,
    Upload,
)
from tf_dataflow_serving.services.prediction.registry.shared_models import (
    endpoint_of,
    registered_models,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

Clock = Callable[[], datetime]
_FAILURES = (ResourceError, StorageFailed, ModelUnusable)


@dataclass(frozen=True)
class Deployment:
    """What the user asks for: a version on an endpoint, with its part of the traffic."""

    model_id: str
    version: str
    display_name: str = ""
    deployed_id: str = ""
    traffic: Traffic = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hosting:
    """Registered models, endpoints, and the copies of the models' files."""

    models: RegisteredModels
    endpoints: Endpoints
    artifacts: Artifacts
    clock: Clock
    new_id: Callable[[], str]

    async def upload(self, parent: str, model_id: str, upload: Upload) -> RegisteredVersion:
        """Copy and load what is uploaded, and register it; raises OperationFailed."""
        artifact = ""
        try:
            artifact = await asyncio.to_thread(self.artifacts.fetch, upload.artifact_uri)
            model = LazyModel(partial(self.artifacts.load, artifact))
            await asyncio.to_thread(model.get)
            return self.models.add(parent, model_id, upload, model, artifact)
        except _FAILURES as error:
            if artifact:
                self.artifacts.discard(artifact)
            raise OperationFailed(f"The model cannot be uploaded: {error}") from error

    def check(self, parent: str, endpoint_id: str, deployment: Deployment) -> None:
        """Raise NotFound, AlreadyExists or InvalidArgument for what cannot be deployed."""
        self.models.version(parent, deployment.model_id, deployment.version)
        deployed_id = self.endpoints.deployed_id(deployment.deployed_id)
        self.endpoints.endpoint(parent, endpoint_id).check(deployed_id, deployment.traffic)

    async def deploy(self, parent: str, endpoint_id: str, deployment: Deployment) -> DeployedModel:
        """Load a version and let it answer on an endpoint; raises OperationFailed."""
        try:
            deployed = await self._loaded(parent, deployment)
            return self.endpoints.deploy(parent, endpoint_id, deployed, deployment.traffic)
        except _FAILURES as error:
            raise OperationFailed(f"The model cannot be deployed: {error}") from error

    def load(self, project: str, location: str, model_id: str, version: str) -> SavedModel:
        """Return what predicts for a version; raises NotFound, ModelUnusable."""
        parent = location_name(project, location)
        return self.models.version(parent, model_id, version).model.get()

    def delete_model(self, parent: str, model_id: str) -> None:
        """Delete a model with its versions; raises NotFound, or FailedPrecondition if deployed."""
        self._refuse_deployed(parent, model_id)
        for version in self.models.delete(parent, model_id).versions.values():
            self._discard(version)

    def delete_version(self, parent: str, model_id: str, reference: str) -> None:
        """Delete a version; raises NotFound, FailedPrecondition."""
        number = self.models.version(parent, model_id, reference).number
        self._refuse_deployed(parent, model_id, number)
        self._discard(self.models.delete_version(parent, model_id, number))

    async def _loaded(self, parent: str, deployment: Deployment) -> DeployedModel:
        model = self.models.model(parent, deployment.model_id)
        version = self.models.version(parent, model.id, deployment.version)
        saved_model = await asyncio.to_thread(version.model.get)
        self._check_kept(parent, model.id, version)
        return DeployedModel(
            id=self.endpoints.deployed_id(deployment.deployed_id),
            model_id=model.id,
            version=version.number,
            display_name=deployment.display_name or model.display_name,
            created=self.clock(),
            saved_model=saved_model,
            artifact=version.artifact,
            attributes=deployment.attributes,
        )

    def _check_kept(self, parent: str, model_id: str, version: RegisteredVersion) -> None:
        # A new model may have the id of a deleted one, and then its numbers.
        if self.models.version(parent, model_id, version.number).model is not version.model:
            raise NotFound("name", f"Version {version.number} of Model {model_id} was deleted.")

    def _refuse_deployed(self, parent: str, model_id: str, number: str | None = None) -> None:
        for endpoint, deployed in self.endpoints.deployments(parent, model_id):
            if number in (None, deployed.version):
                raise FailedPrecondition(
                    "name",
                    f"The Model {model_id} cannot be deleted: its version {deployed.version} is"
                    f" deployed on endpoint {endpoint.id} as {deployed.id}.",
                )

    def _discard(self, version: RegisteredVersion) -> None:
        if version.artifact:
            self.artifacts.discard(version.artifact)


def open_hosting(
    documents: Documents,
    artifacts: Artifacts,
    clock: Clock,
    draw: random.Random,
    deployed: Sequence[Model],
) -> Hosting:
    """Return what was hosted before; `deployed` models are there for every project and location.

    Each of them is also on an endpoint of its own, the first version with all traffic.
    """
    shared = registered_models(documents, deployed)
    keeper = RegisteredModelDocuments(documents, artifacts.load, shared)
    models = RegisteredModels(clock, _new_id, keeper, shared)
    endpoints = Endpoints(
        clock,
        draw,
        _new_id,
        EndpointDocuments(documents, models),
        [endpoint_of(model) for model in shared],
    )
    return Hosting(models, endpoints, artifacts, clock, _new_id)


def _new_id() -> str:
    """Return a number like those of Google's, which nobody has yet."""
    return str(secrets.randbelow(9 * 10**18) + 10**18)
